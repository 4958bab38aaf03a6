"""The gate `lock`: the declared requirements are the locked ones.

Each kind of lockfile has an adapter, which runs the tool that wrote the lockfile. "Stale" and "could not be
checked" are different failures: the team corrects the first; the network or machine causes the second.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, Final

from release.brief import counted
from release.chain.building.context import write_folder
from release.chain.lockgate import detect, pdm, pipenv, poetry, pylock, requirements, uv
from release.chain.lockgate.age import check_age
from release.chain.lockgate.checking import Checking, refuse_astray
from release.chain.lockgate.damaged import ANY_TROUBLE, History
from release.chain.lockgate.deciding import Read, behind
from release.chain.lockgate.environment import execute, install
from release.chain.lockgate.missing import no_lockfile, unknown_kind
from release.chain.lockgate.pins import packages_of, pins
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked
from release.chain.lockgate.sources import outside_source
from release.chain.lockgate.uvlock import uv_packages
from release.chain.pythons import project_python, requires_python, service_image_python
from release.chain.stage_cache import CachedResult, Reuse, variables
from release.chain.stage_context import StageContext, evidence
from release.committed import Committed, read_linked
from release.config import Service
from release.errors import GateFailed, SourceError
from release.events import Notice, Warned
from release.inherited import inherited_variables
from release.records import LockFile
from release.source import Source
from release.suspicion import secrets_of
from release.values import Struct, replace

_SHOWN: Final = 5
"""Most links in a message."""


class LockChecked(Struct, frozen=True, kw_only=True):
    """Result of the gate: the lockfile is fresh, or `lock.allow_unchecked` accepts an unchecked one."""

    file: LockFile
    evidence: bytes
    summary: str
    unchecked: str = ""
    """Reason why the lockfile could not be checked; empty for a fresh lockfile."""


class Adapter(Struct, frozen=True):
    """Check of one kind of lockfile."""

    check: Callable[[Checking], Answer]
    packages: Callable[[str], Mapping[str, str]]
    """Return versions by name. Raises ValueError, LookupError, TypeError or AttributeError."""


ADAPTERS: Final[Mapping[str, Adapter]] = {
    detect.UV: Adapter(uv.check, uv_packages),
    detect.POETRY: Adapter(poetry.check, lambda content: poetry.read(content).packages),
    detect.PDM: Adapter(pdm.check, lambda content: pdm.read(content).packages),
    detect.PIPENV: Adapter(pipenv.check, lambda content: pipenv.read(content).packages),
    detect.PYLOCK: Adapter(pylock.check, lambda content: pylock.read(content).packages),
    detect.REQUIREMENTS: Adapter(requirements.check, lambda content: packages_of(pins(content))),
}


def lock(ctx: StageContext) -> LockChecked:
    """Check the committed lockfile. Raises GateFailed: no lockfile, stale, or not checkable."""
    service = ctx.plan.service
    committed = Committed(ctx.source, ctx.plan.commit.id, service.context)
    found = find_lockfile(ctx, committed)
    with ctx.folder.staged("lock") as folder, ctx.folder.staged("home") as home:
        write_folder(committed.safe(_deciding(ctx, committed, found)), folder)
        raw = _raw(found, committed, folder)
        checking = checking_of(ctx, found, committed, folder, home)
        answer = outside_source(checking) or ADAPTERS[found.kind].check(checking)
    made = _passed(ctx, found, raw, _with_astray(answer, committed))
    check_age(ctx, made.file.path)
    return made


def _with_astray(answer: Answer, committed: Committed) -> Answer:
    """Return the answer, with the links that the tool did not find if the answer is not Fresh."""
    if isinstance(answer, Fresh) or not committed.astray:
        return answer
    lines = [f"not followed: {path}: {why}" for path, why in committed.astray.items()]
    return replace(answer, tail=(*answer.tail, *lines[:_SHOWN]))


def _raw(found: detect.Lockfile, committed: Committed, folder: Path) -> bytes:
    """Return the lockfile's bytes. Raises SourceError: a link out of the folder; GateFailed."""
    refuse_astray(found.path, committed.astray)
    try:
        return (folder / found.path).read_bytes()
    except OSError as error:
        text = f"{found.path} is a link that leads to no committed file, or to a folder"
        raise GateFailed("lock", text, f"commit the lockfile itself as {found.path}") from error


def checking_of(
    ctx: StageContext, found: detect.Lockfile, committed: Committed, folder: Path, home: Path
) -> Checking:
    """Return the check of a lockfile in a folder with the committed files. Raises GateFailed: not UTF-8."""
    read = reader(ctx.source, ctx.plan.commit.id, ctx.plan.service)
    try:
        content = (folder / found.path).read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise GateFailed("lock", f"{found.path} is not UTF-8: {error}", "write it in UTF-8") from error
    history = History(ctx=ctx, path=found.path)
    return Checking(
        folder=folder,
        home=home,
        path=found.path,
        content=content,
        config=ctx.plan.service.lock,
        image=service_image_python(ctx.plan.service, read),
        python=project_python(ctx.plan.service, read),
        requires=requires_python(read, str(PurePosixPath(found.path).parent)),
        execute=partial(execute, ctx),
        install=partial(install, ctx),
        earlier=history.beside,
        good=history.good,
        astray=committed.astray,
    )


def _passed(ctx: StageContext, found: detect.Lockfile, raw: bytes, answer: Answer) -> LockChecked:
    """Return the result for a fresh lockfile. Raises GateFailed for another answer that is not allowed."""
    if isinstance(answer, Stale):
        differences = f": {'; '.join(answer.differences)}" if answer.differences else ""
        raise GateFailed("lock", f"{found.path} {answer.verdict}{differences}", answer.mend, answer.tail)
    if isinstance(answer, Unchecked):
        return _unchecked(ctx, found, raw, answer)
    if answer.remark:
        ctx.emit(Notice(text=answer.remark))
    if found.others:
        text = f"{found.path} is checked, {', '.join(found.others)} is not. lock.path chooses another one"
        ctx.emit(Notice(text=text))
    return _checked(ctx, found, raw, answer.packages)


def _unchecked(ctx: StageContext, found: detect.Lockfile, raw: bytes, answer: Unchecked) -> LockChecked:
    text = f"{found.path} could not be checked: {answer.reason}"
    if not ctx.plan.service.lock.allow_unchecked:
        raise GateFailed("lock", text, answer.hint, answer.tail)
    ctx.emit(Warned(text=f"{text}. lock.allow_unchecked lets it pass"))
    try:
        packages = ADAPTERS[found.kind].packages(raw.decode("utf-8-sig"))
    except ANY_TROUBLE:
        packages = {}
    return _checked(ctx, found, raw, packages, answer.reason)


def _checked(
    ctx: StageContext, found: detect.Lockfile, raw: bytes, packages: Mapping[str, str], unchecked: str = ""
) -> LockChecked:
    path = (Path(ctx.plan.service.context) / found.path).as_posix()
    file = _file(found.kind, path, raw, packages)
    seen = {"kind": found.kind, "path": path, "sha256": file.sha256}
    count = counted(len(packages), "package")
    return LockChecked(
        file=file,
        evidence=evidence("lock", {**seen, "unchecked": unchecked} if unchecked else seen),
        summary=f"{path} was not checked, {count}" if unchecked else f"{path} is fresh, {count}",
        unchecked=unchecked,
    )


def _file(kind: str, path: str, content: bytes, packages: Mapping[str, str]) -> LockFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return LockFile(kind=kind, path=path, sha256=sha256, packages=dict(sorted(packages.items())))


def find_lockfile(ctx: StageContext, committed: Committed) -> detect.Lockfile:
    """Return the lockfile of the commit. Raises GateFailed: none, or of an unknown kind."""
    service, commit = ctx.plan.service, ctx.plan.commit.id
    try:
        found = _detect(service, committed.files, reader(ctx.source, commit, service))
    except detect.UnknownKind as error:
        raise unknown_kind(str(error)) from error
    if found is None:
        raise no_lockfile(service.lock.path, committed.leaves, reader(ctx.source, commit, service))
    return found


def _detect(service: Service, names: list[str], read: Read) -> detect.Lockfile | None:
    dockerfile = (read(service.build.dockerfile) or b"").decode("utf-8", "replace")
    return detect.detect(service.lock, names, dockerfile)


def _deciding(ctx: StageContext, committed: Committed, found: detect.Lockfile) -> list[str] | None:
    """Return the sorted paths of the files that decide; None if every file may decide."""
    context = PurePosixPath(ctx.plan.service.context)

    def read(path: str) -> bytes | None:
        return ctx.source.read(ctx.plan.commit.id, (context / path).as_posix())

    files = behind(found, committed.leaves, read, source=ctx.plan.service.lock.source)
    if files is None or any(committed.leaves[path].is_link for path in files):  # what it leads to decides
        return None
    return sorted(files)


def reader(source: Source, commit: str, service: Service) -> Read:
    """Return a function that reads committed files by their paths below `context`, following links.

    The function raises SourceError for links out of the repository.
    """
    context = PurePosixPath(service.context)
    return lambda path: read_linked(source, commit, (context / path).as_posix())


def read_committed(source: Source, commit: str, service: Service) -> LockFile | None:
    """Return a commit's lockfile as records keep it, read but not checked; None if it cannot be read."""
    read = reader(source, commit, service)
    try:
        found = _detect(service, list(source.listing(commit, service.context)), read)
        content = read(found.path) if found is not None else None
        if found is None or content is None:
            return None
        packages = ADAPTERS[found.kind].packages(content.decode("utf-8-sig"))
    except (detect.UnknownKind, SourceError, *ANY_TROUBLE):
        return None
    return _file(found.kind, (Path(service.context) / found.path).as_posix(), content, packages)


# the same lockfile again


def _inputs(ctx: StageContext) -> Mapping[str, Any]:
    """Return the deciding files, the settings, and the variables of the tools, but no package index."""
    service = ctx.plan.service
    committed = Committed(ctx.source, ctx.plan.commit.id, service.context)
    found = find_lockfile(ctx, committed)
    deciding = _deciding(ctx, committed, found)
    return {
        "files": ctx.source.tree(ctx.plan.commit.id, service.context)
        if deciding is None
        else {path: committed.leaves[path].oid for path in deciding},
        "lockfile": [found.path, found.kind],
        "context": service.context,
        "settings": service.lock.model_dump(mode="json"),
        "uv": version("uv"),
        "python": sys.version,
        "project": project_python(service, reader(ctx.source, ctx.plan.commit.id, service)),
        "image": service_image_python(service, reader(ctx.source, ctx.plan.commit.id, service)),
        "variables": variables("UV_", "PIP_") | inherited_variables(service.lock.pass_env),
    }


def _travels(ctx: StageContext) -> Mapping[str, Any] | None:
    """Return the inputs for any machine with this Python; None if variables with secrets matter."""
    inputs = _inputs(ctx)
    if ctx.plan.service.lock.pass_env or any(secrets_of(inputs["variables"])):
        return None
    return {**inputs, "python": platform.python_version()}


def _keep(_ctx: StageContext, made: LockChecked) -> Mapping[str, Any]:
    return {"file": made.file.model_dump(mode="json"), "unchecked": made.unchecked}


def _restore(ctx: StageContext, cached: CachedResult) -> LockChecked | None:
    """Return the cached result; None for an unchecked lockfile, so that the check runs again."""
    if cached.data["unchecked"]:
        return None
    file = LockFile.model_validate(cached.data["file"])
    check_age(ctx, file.path)
    return LockChecked(file=file, evidence=cached.evidence, summary=cached.summary)


LOCK_REUSE: Final = Reuse(inputs=_inputs, travels=_travels, keep=_keep, restore=_restore)
