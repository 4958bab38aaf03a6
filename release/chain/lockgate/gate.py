"""The gate that proves the lockfile fresh: what is declared is what is locked.

Each kind has one function that asks the tool that wrote it. "Stale" and "could not be checked" are different
failures: the first is the team's to mend, the second the network's.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, Final

from release.chain.building.context import write_folder
from release.chain.lockgate.compiled import advice, compile_commands, read_compiled
from release.chain.lockgate.deciding import DEFAULTS, behind
from release.chain.lockgate.pins import comparable, describe_difference, packages_of, pins
from release.chain.lockgate.uvlock import undeclared, uv_packages
from release.chain.pythons import (
    HERE,
    NO_DOWNLOADS,
    find_python,
    is_allowed,
    requires_python,
    service_image_python,
)
from release.chain.stage_cache import CachedResult, Reuse, variables
from release.chain.stage_context import StageContext, evidence
from release.chain.tools import find_uv
from release.committed import Committed
from release.config import Lock
from release.errors import CommandFailed, GateFailed
from release.events import Notice
from release.inherited import PACKAGES, inherited
from release.process import Command
from release.records import LockFile
from release.source import Source
from release.values import Struct


class LockChecked(Struct, frozen=True, kw_only=True):
    """The lockfile is fresh."""

    file: LockFile
    evidence: bytes
    summary: str


class _Found(Struct, frozen=True, kw_only=True):
    """A lockfile in the committed tree, laid out below `folder`."""

    folder: Path
    path: str
    content: str
    config: Lock
    image: str | None
    """The Python of the service's image, if its Dockerfile names it."""
    requires: str | None
    """`requires-python` of the project beside it."""

    def has(self, name: str) -> bool:
        """Return if the commit has a file, by its path below the folder."""
        return (self.folder / name).is_file()


def lock(ctx: StageContext) -> LockChecked:
    """Check the committed lockfile. Raises GateFailed: none, stale, or not checkable."""
    context = ctx.plan.service.context
    with ctx.folder.staged("lock") as folder:
        committed = Committed(ctx.source, ctx.plan.commit.id, context)
        write_folder(committed.entries(_deciding(ctx, committed)), folder)
        found = _find(ctx, folder)
        kind = _kind(found.path)
        packages = _KINDS[kind](ctx, found)
    sha256 = hashlib.sha256(found.content.encode()).hexdigest()
    path = (Path(context) / found.path).as_posix()
    return LockChecked(
        file=LockFile(kind=kind, path=path, sha256=sha256, packages=dict(sorted(packages.items()))),
        evidence=evidence("lock", {"kind": kind, "path": path, "sha256": sha256}),
        summary=f"{path} is fresh, {len(packages)} packages",
    )


def _inputs(ctx: StageContext) -> Mapping[str, Any]:
    """The files that the check reads, the settings, and what steers the tools; no package index is in it."""
    service = ctx.plan.service
    return {
        "files": _files(ctx),
        "context": service.context,
        "settings": service.lock.model_dump(mode="json"),
        "uv": version("uv"),
        "python": sys.version,
        "image": service_image_python(service, _reader(ctx)),
        "variables": variables("UV_", "PIP_") | inherited(service.lock.pass_env),
    }


def _files(ctx: StageContext) -> Mapping[str, str] | str:
    """The git ids of the files that decide; else that of the service's folder."""
    commit, context = ctx.plan.commit.id, ctx.plan.service.context
    committed = Committed(ctx.source, commit, context)
    found = _deciding(ctx, committed)
    if found is None:
        return ctx.source.tree(commit, context)
    return {path: committed.leaves[path].oid for path in found}


def _deciding(ctx: StageContext, committed: Committed) -> list[str] | None:
    """The paths of the files that decide, sorted; None where any file may."""
    config = ctx.plan.service.lock
    found = behind(
        committed.leaves,
        _reader(ctx),
        path=config.path,
        source=config.source,
    )
    return sorted(found) if found is not None else None


def _reader(ctx: StageContext) -> Callable[[str], bytes | None]:
    """Reads committed files by their paths below `context`."""
    commit, context = ctx.plan.commit.id, PurePosixPath(ctx.plan.service.context)
    return lambda path: ctx.source.read(commit, (context / path).as_posix())


def _restore(_shop: StageContext, passed: CachedResult) -> LockChecked:
    file = LockFile.model_validate(passed.data["file"])
    return LockChecked(file=file, evidence=passed.evidence, summary=passed.summary)


LOCK_REUSE: Final = Reuse(
    inputs=_inputs, keep=lambda _, made: {"file": made.file.model_dump(mode="json")}, restore=_restore
)


def _find(ctx: StageContext, folder: Path) -> _Found:
    config = ctx.plan.service.lock
    candidates = [config.path] if config.path is not None else list(DEFAULTS)
    for name in candidates:
        file = folder / name
        if file.is_file():
            return _Found(
                folder=folder,
                path=name,
                content=file.read_text(encoding="utf-8"),
                config=config,
                image=service_image_python(ctx.plan.service, _reader(ctx)),
                requires=requires_python(_reader(ctx), str(PurePosixPath(name).parent)),
            )
    raise GateFailed(
        "lock",
        f"the commit has no {' or '.join(candidates)} in the service's folder",
        "make one and commit it, as: uv pip compile --generate-hashes requirements.in -o requirements.txt",
    )


def read_committed(source: Source, commit: str, context: str, config: Lock) -> LockFile | None:
    """A commit's lockfile as records keep it, read and not checked; None when there is none to be read."""
    for name in [config.path] if config.path is not None else DEFAULTS:
        path = (Path(context) / name).as_posix()
        content = source.read(commit, path)
        if content is not None:
            return _read(path, content)
    return None


def _read(path: str, content: bytes) -> LockFile | None:
    try:
        kind, text = _kind(path), content.decode("utf-8")
        packages = uv_packages(text) if kind == "uv.lock" else packages_of(pins(text))
    except (GateFailed, ValueError, LookupError):
        return None
    sha256 = hashlib.sha256(content).hexdigest()
    return LockFile(kind=kind, path=path, sha256=sha256, packages=dict(sorted(packages.items())))


def _kind(path: str) -> str:
    name = Path(path).name
    if name == "uv.lock":
        return "uv.lock"
    if name.endswith(".txt"):
        return "requirements.txt"
    raise GateFailed(
        "lock", f"{path} is no kind of lockfile that is known here", f"known: {', '.join(_KINDS)}"
    )


# uv.lock


def _uv(ctx: StageContext, found: _Found) -> Mapping[str, str]:
    interpreter = _interpreter(found)
    if interpreter is None:
        return _compared(ctx, found)
    command = Command(
        argv=(find_uv(), "lock", "--check"),
        cwd=(found.folder / found.path).parent,
        env=NO_DOWNLOADS | {"UV_PYTHON": str(interpreter)},
        inherits=(*PACKAGES, *found.config.pass_env),
    )
    try:
        ctx.execute("lock", command)
    except CommandFailed as error:
        raise _uv_failure(found.path, error) from error
    return uv_packages(found.content)


def _interpreter(found: _Found) -> Path | None:
    """The interpreter for uv, which needs one that the project allows, whatever `.python-version` says."""
    requires, wanted = found.requires or "", found.config.python
    if wanted is not None and is_allowed(wanted, requires) and (path := find_python(wanted)):
        return path
    return Path(sys.executable) if is_allowed(HERE, requires) else find_python(requires)


def _compared(ctx: StageContext, found: _Found) -> Mapping[str, str]:
    """Check a uv.lock without an interpreter: what is declared is what was declared when it was made."""
    hint = f"install one, as `uv python install '{found.requires}'`, or correct requires-python"
    try:
        project = (found.folder / found.path).with_name("pyproject.toml").read_text(encoding="utf-8")
        difference = undeclared(project, found.content)
    except (OSError, ValueError, LookupError, TypeError, StopIteration) as error:
        problem = f"{found.path} could not be checked: no Python here is {found.requires}"
        raise GateFailed("lock", problem, hint) from error
    if difference is not None:
        raise GateFailed(
            "lock", f"{found.path} is stale: {difference}", "run `uv lock` and commit the result"
        )
    text = f"no Python here is {found.requires}: {found.path} was compared with pyproject.toml, without uv"
    ctx.emit(Notice(text=text))
    return uv_packages(found.content)


def _uv_failure(path: str, error: CommandFailed) -> GateFailed:
    """uv says by its status whether the lock is stale (1) or could not be checked (2)."""
    if error.status == 1:
        return GateFailed("lock", f"{path} is stale", "run `uv lock` and commit the result", error.tail)
    return GateFailed(
        "lock",
        f"{path} could not be checked (uv ended with status {error.status})",
        "do what uv's last lines ask for, and run `uv lock --check`",
        error.tail,
    )


# requirements.txt


def _requirements(ctx: StageContext, found: _Found) -> Mapping[str, str]:
    """Compile again on top of what is pinned: pins that still satisfy the source stay as they are."""
    made, sources = read_compiled(found.content), _sources(found)
    commands = compile_commands(
        find_uv(), found.content, sources, found.path, python=found.config.python, image=found.image
    )
    before, differences = comparable(found.content, made), []
    for argv in commands:
        after = comparable(_recompiled(ctx, found, argv, sources), made, beside=found.content)
        if before == after:
            return packages_of(pins(found.content))
        differences.append(describe_difference(before, after))
    raise GateFailed(
        "lock",
        f"{found.path} is stale: {differences[0]}",
        f"run `{advice(found.content, commands[0], python=found.config.python)}` and commit the result",
    )


def _sources(found: _Found) -> tuple[str, ...]:
    """The files that it is compiled from: by `lock.source`, its header, or the `.in` file of its name."""
    named = read_compiled(found.content).sources
    inside = all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in named)
    if found.config.source is None and named and inside and all(map(found.has, named)):
        return named
    source = found.config.source or str(Path(found.path).with_suffix(".in"))
    if not found.has(source):
        raise GateFailed(
            "lock",
            f"{found.path} is compiled from {source}, and the commit has no such file",
            "commit it, or set `lock.source`",
        )
    return (source,)


def _recompiled(ctx: StageContext, found: _Found, argv: tuple[str, ...], sources: tuple[str, ...]) -> str:
    file = found.folder / found.path
    file.write_text(found.content, encoding="utf-8")
    inherits = (*PACKAGES, *found.config.pass_env)
    try:
        ctx.execute("lock", Command(argv=argv, cwd=found.folder, env=_THIS_PYTHON, inherits=inherits))
    except CommandFailed as error:
        raise GateFailed(
            "lock",
            f"{', '.join(sources)} could not be compiled, so {found.path} could not be checked",
            "does the source contradict itself, or is the package index out of reach?",
            error.tail,
        ) from error
    return file.read_text(encoding="utf-8")


_THIS_PYTHON: Final = NO_DOWNLOADS | {"UV_PYTHON": sys.executable}
"""Another Python's packages can be resolved without having it: none is looked for, none is downloaded."""

_KINDS: Final[Mapping[str, Callable[[StageContext, _Found], Mapping[str, str]]]] = {
    "uv.lock": _uv,
    "requirements.txt": _requirements,
}
