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

from release.chain.building.context import write_folder
from release.chain.lockgate import detect, pdm, pipenv, poetry, pylock, requirements, uv
from release.chain.lockgate.age import check_age
from release.chain.lockgate.checking import LockfileCopy, refuse_outside_link
from release.chain.lockgate.damaged import ANY_TROUBLE, LockfileHistory
from release.chain.lockgate.deciding import Read, files_that_decide
from release.chain.lockgate.environment import install_lock_tool, run_lock_tool
from release.chain.lockgate.missing import no_lockfile_error, unknown_kind_error
from release.chain.lockgate.pins import parse_pins, versions_by_name
from release.chain.lockgate.results import Answer, Fresh, Stale, Unchecked
from release.chain.lockgate.sources import refuse_outside_sources
from release.chain.lockgate.uvlock import parse_uv_lock
from release.chain.pythons import python_of_released_image, python_of_service, read_requires_python
from release.chain.stage_cache import CachedResult, ReusePolicy, environment_variables
from release.chain.stage_context import StageContext, evidence_bytes
from release.config import Service
from release.errors import GateFailed, SourceError
from release.events import Notice, Warned
from release.git.commit_files import Committed, read_linked
from release.git.source import Source
from release.programs.environment import inherited_variables
from release.records import LockFile
from release.secrets.detection import secrets_of
from release.text.shortening import counted
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


class LockAdapter(Struct, frozen=True):
    """Check of one kind of lockfile."""

    check: Callable[[LockfileCopy], Answer]
    packages: Callable[[str], Mapping[str, str]]
    """Return versions by name. Raises ValueError, LookupError, TypeError or AttributeError."""


ADAPTERS: Final[Mapping[str, LockAdapter]] = {
    detect.UV: LockAdapter(uv.check_uv_lock, parse_uv_lock),
    detect.POETRY: LockAdapter(
        poetry.check_poetry_lock, lambda content: poetry.parse_poetry_lock(content).packages
    ),
    detect.PDM: LockAdapter(pdm.check_pdm_lock, lambda content: pdm.parse_pdm_lock(content).packages),
    detect.PIPENV: LockAdapter(
        pipenv.check_pipfile_lock, lambda content: pipenv.parse_pipfile_lock(content).packages
    ),
    detect.PYLOCK: LockAdapter(pylock.check_pylock, lambda content: pylock.parse_pylock(content).packages),
    detect.REQUIREMENTS: LockAdapter(
        requirements.check_requirements, lambda content: versions_by_name(parse_pins(content))
    ),
}


def check_lockfile(ctx: StageContext) -> LockChecked:
    """Check the committed lockfile. Raises GateFailed: no lockfile, stale, or not checkable."""
    service = ctx.plan.service
    committed = Committed(ctx.source, ctx.plan.commit.id, service.context)
    found = find_lockfile(ctx, committed)
    with ctx.run_folder.temporary_folder("lock") as folder, ctx.run_folder.temporary_folder("home") as home:
        write_folder(committed.safe(_paths_that_decide(ctx, committed, found)), folder)
        raw = _read_lockfile_bytes(found, committed, folder)
        checking = copy_lockfile(ctx, found, committed, folder, home)
        answer = refuse_outside_sources(checking) or ADAPTERS[found.kind].check(checking)
    made = _result_of_answer(ctx, found, raw, _add_outside_links(answer, committed))
    check_age(ctx, made.file.path)
    return made


def _add_outside_links(answer: Answer, files: Committed) -> Answer:
    """Return the answer, with the links that the tool did not find if the answer is not Fresh."""
    if isinstance(answer, Fresh) or not files.astray:
        return answer
    lines = [f"not followed: {path}: {why}" for path, why in files.astray.items()]
    return replace(answer, tail=(*answer.tail, *lines[:_SHOWN]))


def _read_lockfile_bytes(lockfile: detect.Lockfile, committed: Committed, folder: Path) -> bytes:
    """Return the lockfile's bytes. Raises SourceError: a link out of the folder; GateFailed."""
    refuse_outside_link(lockfile.path, committed.astray)
    try:
        return (folder / lockfile.path).read_bytes()
    except OSError as error:
        text = f"{lockfile.path} is a link that leads to no committed file, or to a folder"
        raise GateFailed("lock", text, f"commit the lockfile itself as {lockfile.path}") from error


def copy_lockfile(
    ctx: StageContext, lockfile: detect.Lockfile, committed: Committed, folder: Path, home: Path
) -> LockfileCopy:
    """Return the check of a lockfile in a folder with the committed files. Raises GateFailed: not UTF-8."""
    read = service_file_reader(ctx.source, ctx.plan.commit.id, ctx.plan.service)
    try:
        content = (folder / lockfile.path).read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise GateFailed("lock", f"{lockfile.path} is not UTF-8: {error}", "write it in UTF-8") from error
    history = LockfileHistory(ctx=ctx, path=lockfile.path)
    return LockfileCopy(
        folder=folder,
        home=home,
        path=lockfile.path,
        content=content,
        config=ctx.plan.service.lock,
        image_python=python_of_released_image(ctx.plan.service, read),
        python=python_of_service(ctx.plan.service, read),
        requires=read_requires_python(read, str(PurePosixPath(lockfile.path).parent)),
        execute=partial(run_lock_tool, ctx),
        install=partial(install_lock_tool, ctx),
        read_earlier=history.read_file_beside,
        find_readable_version=history.find_readable_version,
        outside_links=committed.astray,
    )


def _result_of_answer(
    ctx: StageContext, lockfile: detect.Lockfile, raw: bytes, answer: Answer
) -> LockChecked:
    """Return the result for a fresh lockfile. Raises GateFailed for another answer that is not allowed."""
    if isinstance(answer, Stale):
        differences = f": {'; '.join(answer.differences)}" if answer.differences else ""
        raise GateFailed(
            "lock", f"{lockfile.path} {answer.verdict}{differences}", answer.next_step, answer.tail
        )
    if isinstance(answer, Unchecked):
        return _pass_unchecked(ctx, lockfile, raw, answer)
    if answer.remark:
        ctx.emit(Notice(text=answer.remark))
    if lockfile.others:
        others = ", ".join(lockfile.others)
        ctx.emit(Notice(text=f"{lockfile.path} is checked, {others} is not. lock.path chooses another one"))
    return _build_result(ctx, lockfile, raw, answer.packages)


def _pass_unchecked(
    ctx: StageContext, lockfile: detect.Lockfile, raw: bytes, answer: Unchecked
) -> LockChecked:
    text = f"{lockfile.path} could not be checked: {answer.reason}"
    if not ctx.plan.service.lock.allow_unchecked:
        raise GateFailed("lock", text, answer.hint, answer.tail)
    ctx.emit(Warned(text=f"{text}. lock.allow_unchecked lets it pass"))
    try:
        packages = ADAPTERS[lockfile.kind].packages(raw.decode("utf-8-sig"))
    except ANY_TROUBLE:
        packages = {}
    return _build_result(ctx, lockfile, raw, packages, answer.reason)


def _build_result(
    ctx: StageContext, lockfile: detect.Lockfile, raw: bytes, packages: Mapping[str, str], unchecked: str = ""
) -> LockChecked:
    path = (Path(ctx.plan.service.context) / lockfile.path).as_posix()
    file = _lockfile_record(lockfile.kind, path, raw, packages)
    seen = {"kind": lockfile.kind, "path": path, "sha256": file.sha256}
    count = counted(len(packages), "package")
    return LockChecked(
        file=file,
        evidence=evidence_bytes("lock", {**seen, "unchecked": unchecked} if unchecked else seen),
        summary=f"{path} was not checked, {count}" if unchecked else f"{path} is fresh, {count}",
        unchecked=unchecked,
    )


def _lockfile_record(kind: str, path: str, content: bytes, packages: Mapping[str, str]) -> LockFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return LockFile(kind=kind, path=path, sha256=sha256, packages=dict(sorted(packages.items())))


def find_lockfile(ctx: StageContext, committed: Committed) -> detect.Lockfile:
    """Return the lockfile of the commit. Raises GateFailed: none, or of an unknown kind."""
    service = ctx.plan.service
    read = service_file_reader(ctx.source, ctx.plan.commit.id, service)
    try:
        found = _detect_lockfile(service, committed.files, read)
    except detect.UnknownLockKind as error:
        raise unknown_kind_error(str(error)) from error
    if found is None:
        raise no_lockfile_error(service.lock.path, committed.leaves, read)
    return found


def _detect_lockfile(service: Service, names: list[str], read: Read) -> detect.Lockfile | None:
    dockerfile = (read(service.build.dockerfile) or b"").decode("utf-8", "replace")
    return detect.detect_lockfile(service.lock, names, dockerfile)


def _paths_that_decide(
    ctx: StageContext, committed: Committed, lockfile: detect.Lockfile
) -> list[str] | None:
    """Return the sorted paths of the files that decide; None if every file may decide."""
    context = PurePosixPath(ctx.plan.service.context)

    def read(path: str) -> bytes | None:
        return ctx.source.read(ctx.plan.commit.id, (context / path).as_posix())

    files = files_that_decide(lockfile, committed.leaves, read, source=ctx.plan.service.lock.source)
    if files is None or any(committed.leaves[path].is_link for path in files):  # what it leads to decides
        return None
    return sorted(files)


def service_file_reader(source: Source, commit: str, service: Service) -> Read:
    """Return a function that reads committed files by their paths below `context`, following links.

    The function raises SourceError for links out of the repository.
    """
    context = PurePosixPath(service.context)
    return lambda path: read_linked(source, commit, (context / path).as_posix())


def read_committed_lockfile(source: Source, commit: str, service: Service) -> LockFile | None:
    """Return a commit's lockfile as records keep it, read but not checked; None if it cannot be read."""
    read = service_file_reader(source, commit, service)
    try:
        found = _detect_lockfile(service, list(source.listing(commit, service.context)), read)
        content = read(found.path) if found is not None else None
        if found is None or content is None:
            return None
        packages = ADAPTERS[found.kind].packages(content.decode("utf-8-sig"))
    except (detect.UnknownLockKind, SourceError, *ANY_TROUBLE):
        return None
    return _lockfile_record(found.kind, (Path(service.context) / found.path).as_posix(), content, packages)


# the same lockfile again


def _lock_inputs(ctx: StageContext) -> Mapping[str, Any]:
    """Return the deciding files, the settings, and the variables of the tools, but no package index."""
    service = ctx.plan.service
    committed = Committed(ctx.source, ctx.plan.commit.id, service.context)
    found = find_lockfile(ctx, committed)
    deciding = _paths_that_decide(ctx, committed, found)
    return {
        "files": ctx.source.tree(ctx.plan.commit.id, service.context)
        if deciding is None
        else {path: committed.leaves[path].oid for path in deciding},
        "lockfile": [found.path, found.kind],
        "context": service.context,
        "settings": service.lock.model_dump(mode="json"),
        "uv": version("uv"),
        "python": sys.version,
        "project": python_of_service(service, service_file_reader(ctx.source, ctx.plan.commit.id, service)),
        "image": python_of_released_image(
            service, service_file_reader(ctx.source, ctx.plan.commit.id, service)
        ),
        "variables": environment_variables("UV_", "PIP_") | inherited_variables(service.lock.pass_env),
    }


def _portable_inputs(ctx: StageContext) -> Mapping[str, Any] | None:
    """Return the inputs for any machine with this Python; None if variables with secrets matter."""
    inputs = _lock_inputs(ctx)
    if ctx.plan.service.lock.pass_env or any(secrets_of(inputs["variables"])):
        return None
    return {**inputs, "python": platform.python_version()}


def _to_cache_data(_ctx: StageContext, made: LockChecked) -> Mapping[str, Any]:
    return {"file": made.file.model_dump(mode="json"), "unchecked": made.unchecked}


def _restore_from_cache(ctx: StageContext, cached: CachedResult) -> LockChecked | None:
    """Return the cached result; None for an unchecked lockfile, so that the check runs again."""
    if cached.data["unchecked"]:
        return None
    file = LockFile.model_validate(cached.data["file"])
    check_age(ctx, file.path)
    return LockChecked(file=file, evidence=cached.evidence, summary=cached.summary)


LOCK_REUSE: Final = ReusePolicy(
    inputs=_lock_inputs, portable_inputs=_portable_inputs, to_data=_to_cache_data, restore=_restore_from_cache
)
