"""The gate that proves the lockfile fresh: what is declared is what is locked.

Each kind has one function that asks the tool that wrote it. "Stale" and "could not be checked" are different
failures: the first is the team's to mend, the second the network's.
"""

from __future__ import annotations

import hashlib
import shlex
import sys
import tomllib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from release.chain.context import write_folder
from release.chain.lockfiles import DEFAULTS, behind, header_words, logical_lines
from release.chain.passes import Pass, Reuse, variables
from release.chain.shop import Shop, evidence
from release.chain.tools import find_uv
from release.committed import Committed
from release.config import Lock
from release.errors import CommandFailed, GateFailed
from release.frozen import Struct
from release.inherited import PACKAGES, inherited
from release.process import Command
from release.records import LockFile
from release.source import Source


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


def lock(shop: Shop) -> LockChecked:
    """Check the committed lockfile. Raises GateFailed: none, stale, or not checkable."""
    context, config = shop.plan.service.context, shop.plan.service.lock
    with shop.folder.staged("lock") as folder:
        committed = Committed(shop.source, shop.plan.commit.id, context)
        write_folder(committed.entries(_deciding(shop, committed)), folder)
        found = _find(folder, config)
        kind = _kind(found.path)
        packages = _KINDS[kind](shop, found)
    sha256 = hashlib.sha256(found.content.encode()).hexdigest()
    path = (Path(context) / found.path).as_posix()
    return LockChecked(
        file=LockFile(kind=kind, path=path, sha256=sha256, packages=dict(sorted(packages.items()))),
        evidence=evidence("lock", {"kind": kind, "path": path, "sha256": sha256}),
        summary=f"{path} is fresh, {len(packages)} packages",
    )


def _inputs(shop: Shop) -> Mapping[str, Any]:
    """The files that the check reads, the settings, and what steers the tools; no package index is in it."""
    service = shop.plan.service
    return {
        "files": _files(shop),
        "context": service.context,
        "settings": service.lock.model_dump(mode="json"),
        "uv": version("uv"),
        "python": sys.version,
        "variables": variables("UV_", "PIP_") | inherited(service.lock.pass_env),
    }


def _files(shop: Shop) -> Mapping[str, str] | str:
    """The git ids of the files that decide; else that of the service's folder."""
    commit, context = shop.plan.commit.id, shop.plan.service.context
    committed = Committed(shop.source, commit, context)
    found = _deciding(shop, committed)
    if found is None:
        return shop.source.tree(commit, context)
    return {path: committed.leaves[path].oid for path in found}


def _deciding(shop: Shop, committed: Committed) -> list[str] | None:
    """The paths of the files that decide, sorted; None where any file may."""
    commit, context, config = shop.plan.commit.id, shop.plan.service.context, shop.plan.service.lock
    found = behind(
        committed.leaves,
        lambda path: shop.source.read(commit, (PurePosixPath(context) / path).as_posix()),
        path=config.path,
        source=config.source,
    )
    return sorted(found) if found is not None else None


def _restore(_shop: Shop, passed: Pass) -> LockChecked:
    file = LockFile.model_validate(passed.data["file"])
    return LockChecked(file=file, evidence=passed.evidence, summary=passed.summary)


LOCK_REUSE: Final = Reuse(
    inputs=_inputs, keep=lambda _, made: {"file": made.file.model_dump(mode="json")}, restore=_restore
)


def _find(folder: Path, config: Lock) -> _Found:
    candidates = [config.path] if config.path is not None else list(DEFAULTS)
    for name in candidates:
        file = folder / name
        if file.is_file():
            return _Found(folder=folder, path=name, content=file.read_text(encoding="utf-8"), config=config)
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


def _uv(shop: Shop, found: _Found) -> Mapping[str, str]:
    command = Command(
        argv=(find_uv(), "lock", "--check"),
        cwd=(found.folder / found.path).parent,
        inherits=(*PACKAGES, *found.config.pass_env),
    )
    try:
        shop.execute("lock", command)
    except CommandFailed as error:
        raise _uv_failure(found.path, error) from error
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


def uv_packages(content: str) -> dict[str, str]:
    """Names and versions in a uv.lock; several versions of one name (by marker) are joined with ", "."""
    packages: dict[str, list[str]] = {}
    for package in tomllib.loads(content).get("package", []):
        if "version" in package:
            packages.setdefault(package["name"], []).append(package["version"])
    return {name: ", ".join(sorted(versions)) for name, versions in packages.items()}


# requirements.txt


def _requirements(shop: Shop, found: _Found) -> Mapping[str, str]:
    source = found.config.source or str(Path(found.path).with_suffix(".in"))
    if not (found.folder / source).is_file():
        raise GateFailed(
            "lock",
            f"{found.path} is compiled from {source}, and the commit has no such file",
            "commit it, or set `lock.source`",
        )
    before = pins(found.content)
    after = pins(_recompiled(shop, found, source))
    if before != after:
        raise GateFailed(
            "lock",
            f"{found.path} is stale: {describe_difference(before, after)}",
            f"run `{_advice(found, source)}` and commit the result",
        )
    return packages_of(before)


def _recompiled(shop: Shop, found: _Found, source: str) -> str:
    """Compile again on top of what is pinned: pins that still satisfy the source stay as they are."""
    argv = compile_command(find_uv(), found.content, source, found.path, python=found.config.python)
    try:
        inherits = (*PACKAGES, *found.config.pass_env)
        shop.execute("lock", Command(argv=argv, cwd=found.folder, env=_THIS_PYTHON, inherits=inherits))
    except CommandFailed as error:
        raise GateFailed(
            "lock",
            f"{source} could not be compiled, so {found.path} could not be checked",
            "does the source contradict itself, or is the package index out of reach?",
            error.tail,
        ) from error
    return (found.folder / found.path).read_text(encoding="utf-8")


def _advice(found: _Found, source: str) -> str:
    return shlex.join(compile_command("uv", found.content, source, found.path, python=found.config.python))


_THIS_PYTHON: Final = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
"""Another Python's packages can be resolved without having it: none is looked for, none is downloaded."""

_KEPT: Final = ("--universal", "--no-strip-extras", "--strip-extras", "--no-strip-markers", "--all-extras")
_KEPT_WITH_VALUE: Final = (
    "--python-version",
    "--python-platform",
    "--extra",
    "--constraint",
    "-c",
    "--resolution",
)


def compile_command(
    uv: str, content: str, source: str, output: str, *, python: str | None
) -> tuple[str, ...]:
    """The command that made a requirements.txt, from its own header and shape.

    Args:
        uv: the program.
        content: the requirements.txt; its header may hold the command line that wrote it.
        source: the .in file, below the folder it runs in.
        output: the requirements.txt, below that folder; what it pins is preferred.
        python: the Python version configured, which goes before the header's.
    """
    options = header_options(content)
    if python is not None:
        options = ["--python-version", python, *_without(options, "--python-version")]
    if "--hash=" in content:
        options.append("--generate-hashes")
    return (uv, "pip", "compile", "--quiet", "--no-header", *options, source, "--output-file", output)


def header_options(content: str) -> list[str]:
    """Options in the header's command line that change what is resolved; others are left aside."""
    words = header_words(content)
    options: list[str] = []
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if word in _KEPT:
            options.append(word)
        elif name in _KEPT_WITH_VALUE:
            options += [name, value if equals else words[position + 1]]
    return options


def _without(options: list[str], name: str) -> list[str]:
    if name not in options:
        return options
    position = options.index(name)
    return options[:position] + options[position + 2 :]


def pins(content: str) -> frozenset[str]:
    """The requirements as they bind: each with its marker and its hashes, without comments and line ends."""
    return frozenset(_with_sorted_hashes(line.split()) for line in logical_lines(content))


def _with_sorted_hashes(words: list[str]) -> str:
    hashes = sorted(word for word in words if word.startswith("--hash"))
    return " ".join([word for word in words if not word.startswith("--hash")] + hashes)


def packages_of(found: frozenset[str]) -> dict[str, str]:
    """Names and exact versions of these pins; several of one name (by marker) are joined with ", "."""
    packages: dict[str, set[str]] = {}
    for pin in found:
        requirement = _requirement(pin)
        versions = {specifier.version for specifier in requirement.specifier} if requirement else set()
        if requirement and versions:
            packages.setdefault(canonicalize_name(requirement.name), set()).update(versions)
    return {name: ", ".join(sorted(versions)) for name, versions in packages.items()}


def _requirement(pin: str) -> Requirement | None:
    try:
        return Requirement(" ".join(word for word in pin.split() if not word.startswith("--hash")))
    except InvalidRequirement:
        return None


def describe_difference(before: frozenset[str], after: frozenset[str]) -> str:
    """As "flask 3.0.0 → 3.1.0, click is missing, six is not needed"; hashes alone are said to differ."""
    old, new = packages_of(before), packages_of(after)
    changed = [
        f"{name} {old[name]} → {new[name]}"
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    ]
    missing = [f"{name} {new[name]} is missing" for name in sorted(new.keys() - old.keys())]
    surplus = [f"{name} is not needed" for name in sorted(old.keys() - new.keys())]
    found = changed + missing + surplus
    return ", ".join(found[:8]) + (", …" if len(found) > 8 else "") or "its markers or hashes differ"


_KINDS: Final[Mapping[str, Callable[[Shop, _Found], Mapping[str, str]]]] = {
    "uv.lock": _uv,
    "requirements.txt": _requirements,
}
