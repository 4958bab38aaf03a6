"""Checks of the committed files that a release reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Final

from release.chain.building.dockerfile import parse_stages, refuse_release_of_test_stage
from release.chain.lockgate.detect import UnknownLockKind, detect_lockfile
from release.config.kinds import FILE, OWN_FILE
from release.deploy.core.finding import Finding, finding, ill
from release.deploy.environment.environment import Workspace
from release.errors import ReleaseError, SourceError
from release.git.commit_files import read_linked
from release.git.working_copy import changed_files

_COMMIT: Final = 'git add . && git commit -m "build: set up releases"'
_Read = Callable[[str], str | None]
_DOORS: Final = {
    "noxfile.py": ("release.register(", "the nox sessions"),
    "tasks.py": ("release.namespace(", "the invoke tasks"),
}


def file_findings(workspace: Workspace) -> Iterator[Finding]:
    """Yield findings on the files of the last commit; nothing if there is no commit."""
    try:
        commit = workspace.source.head().id
    except ReleaseError as error:
        yield ill("commit", error)
        return
    read = partial(_read_committed_text, workspace, commit)
    yield finding("working copy", partial(_check_changes, workspace))
    for path in _DOORS:
        yield finding(path, partial(_check_task_file, read, workspace, path))
    yield finding("settings", partial(_check_settings, read))
    yield finding("Dockerfile", partial(_check_dockerfile, read, workspace))
    yield finding("lockfile", partial(_check_lockfile, read, workspace, commit))


def _read_committed_text(workspace: Workspace, commit: str, path: str) -> str | None:
    content = read_linked(workspace.source, commit, path)
    return None if content is None else content.decode("utf-8", "replace")


def repository_path(workspace: Workspace, path: str) -> str:
    """Return a path of the service as a path of the repository."""
    return (PurePosixPath(workspace.service.context) / path).as_posix()


def _check_changes(workspace: Workspace) -> str:
    changed = changed_files(workspace.source)
    if changed:
        named = ", ".join(changed[:3]) + (" and more" if len(changed) > 3 else "")
        hint = 'git commit --all --message "fix: what was changed"'
        raise SourceError("release the last commit", f"files are changed and not committed: {named}", hint)
    return "nothing is changed"


def _missing_file_error(workspace: Workspace, path: str, mend: str) -> SourceError:
    if (workspace.source.root / path).exists():
        return SourceError(
            f"read {path}", "it is not committed", f"git add {path} && git commit -m 'build: add {path}'"
        )
    return SourceError(f"read {path}", "it is missing", mend)


def _check_task_file(read: _Read, workspace: Workspace, path: str) -> str:
    words, what = _DOORS[path]
    text = read(path)
    mend = f"python -m release init --yes && {_COMMIT}"
    if text is None:
        raise _missing_file_error(workspace, path, mend)
    if "release" not in text:
        raise SourceError(f"find {what}", f"{path} does not call {words}...)", mend)
    return f"it has {what}"


def _check_settings(read: _Read) -> str:
    found = [path for path in (FILE, OWN_FILE) if read(path) is not None]
    if not found:
        raise SourceError(
            "read the settings of the last commit", f"neither {FILE} nor {OWN_FILE} is committed", _COMMIT
        )
    return f"in {' and '.join(found)}"


def _check_dockerfile(read: _Read, workspace: Workspace) -> str:
    path = repository_path(workspace, workspace.service.build.dockerfile)
    text = read(path)
    if text is None:
        raise _missing_file_error(workspace, path, f"python -m release init --yes && {_COMMIT}")
    refuse_release_of_test_stage(text, workspace.service)
    names = [stage.name for stage in parse_stages(text) if stage.name]
    wanted = {"build.target": workspace.service.build.target, "test.target": workspace.service.test.target}
    for key, target in wanted.items():
        if target is not None and target.lower() not in names:
            found = f"{path} has no stage {target}; it has: {', '.join(names) or 'none with a name'}"
            raise SourceError(
                f"find the stage of {key}", found, f"correct {key}, or name a stage: FROM ... AS {target}"
            )
    stages = f", stages {', '.join(names)}" if names else ""
    return f"{path}{stages}"


def _check_lockfile(read: _Read, workspace: Workspace, commit: str) -> str:
    lock, context = workspace.service.lock, workspace.service.context
    files = workspace.source.listing(commit, context)
    dockerfile = read(repository_path(workspace, workspace.service.build.dockerfile)) or ""
    try:
        found = detect_lockfile(lock, files, dockerfile)
    except UnknownLockKind as error:
        raise SourceError(f"read the lockfile {error}", "its name says no kind", "set lock.kind") from error
    if found is None:
        named = lock.path or "no lockfile of a known kind is committed"
        hint = "commit one, as uv.lock or requirements.txt: invoke explain lockfiles"
        raise SourceError(
            "find the lockfile", named if lock.path is None else f"{named} is not committed", hint
        )
    return f"{found.path}; `nox -s lock` proves that it is fresh"
