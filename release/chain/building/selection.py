"""The build context: committed files without the paths of the ignore file, as a folder for BuildKit.

BuildKit itself applies the ignore file, which lies beside the Dockerfile, outside of the context. This module
decides only which files are written, and which files are refused.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from release import config
from release.chain.building.context import write_fixed_folder
from release.chain.plan import Plan
from release.chain.stage_context import StageContext
from release.errors import GateFailed, SourceError
from release.git.commit_files import Committed, read_linked
from release.git.source import Entry, Source
from release.images.dockerignore import Ignore, Kept
from release.values import Struct

_IGNORE: Final = ".dockerignore"
_LFS: Final = b"version https://git-lfs.github.com/spec/"
_GIT_CRYPT: Final = b"\0GITCRYPT\0"


class BuildContext(Struct, frozen=True, kw_only=True):
    """The folder and files that BuildKit gets."""

    folder: Path
    """The context, named by its content: BuildKit reuses files of a folder with the same name."""
    dockerfile: Path
    """Path of the Dockerfile outside of the folder, beside its ignore file."""


class ContextSelection(Struct, frozen=True, kw_only=True):
    """The part of a commit that BuildKit gets. Its files are not read yet."""

    committed: Committed
    included: Kept
    name: str
    """Name of the Dockerfile, as BuildKit shows it."""
    dockerfile: bytes
    ignore: bytes | None

    @property
    def key(self) -> str:
        """Return the hash of all names, modes and contents in the context."""
        digest = hashlib.sha256()
        for path in sorted(self.included.files | self.included.folders):
            leaf = self.committed.leaves.get(path)
            facts = f"{leaf.mode} {leaf.oid}" if leaf is not None else "folder"
            digest.update(os.fsencode(path) + b"\0" + facts.encode() + b"\0")
        return digest.hexdigest()


def select_context_files(ctx: StageContext) -> ContextSelection:
    """Return the files of this run's build context. Raises GateFailed, SourceError, BadPattern."""
    return ctx.shared_values.get_or_compute("selection", lambda: _select_files(ctx.source, ctx.plan))


def prepare_build_context(ctx: StageContext) -> BuildContext:
    """Return the build context of this run, written by the first build. Raises GateFailed."""
    return ctx.shared_values.get_or_compute(
        "context", lambda: _write_context(select_context_files(ctx), ctx.run_folder.path / "context")
    )


def read_committed_dockerfile(source: Source, plan: Plan) -> bytes:
    """Return the Dockerfile, following links. Raises GateFailed: the commit has no Dockerfile."""
    path = _path_in_context(plan, plan.service.build.dockerfile)
    content = read_linked(source, plan.commit.id, path)
    if content is None:
        raise GateFailed(
            "build",
            f"commit {plan.commit.id[:12]} has no {path}",
            "commit it, or set `context` and `build.dockerfile`",
        )
    return content


def _path_in_context(plan: Plan, path: str) -> str:
    return (PurePosixPath(plan.service.context) / path).as_posix()


def _select_files(source: Source, plan: Plan) -> ContextSelection:
    dockerfile = read_committed_dockerfile(source, plan)
    name, ignore = read_ignore_file(source, plan)
    committed = Committed(source, plan.commit.id, plan.service.context)
    own = _own_configuration_path(source, plan)
    files = [path for path in committed.files if path != own]
    kept = Ignore(ignore, name).kept(files, committed.submodules)
    if kept.submodules:
        raise GateFailed(
            "build",
            f"{min(kept.submodules)} is a submodule, so no commit of this repository has its files",
            f"name it in {name}, keep submodules outside of `context`, or commit their files",
        )
    return ContextSelection(
        committed=committed,
        included=kept,
        name=PurePosixPath(plan.service.build.dockerfile).name,
        dockerfile=dockerfile,
        ignore=ignore,
    )


def _own_configuration_path(source: Source, plan: Plan) -> str | None:
    """Return the path of this library's configuration in the context: images do not depend on it."""
    name = config.own_file(lambda path: read_linked(source, plan.commit.id, path))
    inside = PurePosixPath(plan.service.context) == PurePosixPath()
    return name if inside else None


def read_ignore_file(source: Source, plan: Plan) -> tuple[str, bytes | None]:
    """Return the path and content of the ignore file: beside the Dockerfile, else of the context."""
    commit = plan.commit.id
    for name in (f"{plan.service.build.dockerfile}{_IGNORE}", _IGNORE):
        path = _path_in_context(plan, name)
        content = read_linked(source, commit, path)
        if content is not None:
            return name, content
        leaf = source.leaf(commit, path)
        if leaf is not None and leaf.is_link:
            raise SourceError(
                f"read {path}", "it is a link to a file that the commit does not contain", "correct the link"
            )
    return _IGNORE, None


def _write_context(selection: ContextSelection, target: Path) -> BuildContext:
    """Write the context under a temporary name, then rename the complete folder."""
    unfinished = target.with_name(f"{target.name}.new")
    try:
        entries = _refuse_filter_placeholders(selection.committed.entries(sorted(selection.included.files)))
        write_fixed_folder(entries, unfinished / selection.key, selection.included.folders)
        _write_dockerfile(selection, unfinished / "build")
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return BuildContext(folder=target / selection.key, dockerfile=target / "build" / selection.name)


def _write_dockerfile(selection: ContextSelection, folder: Path) -> None:
    folder.mkdir()
    (folder / selection.name).write_bytes(selection.dockerfile)
    if selection.ignore is not None:  # an empty one is taken for a missing one by some builders
        (folder / f"{selection.name}{_IGNORE}").write_bytes(selection.ignore or b"#\n")


def _refuse_filter_placeholders(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Yield the files. Refuse placeholders that git filters commit (git-lfs, git-crypt).

    Sources: git-lfs specification, "The Pointer"; git-crypt, "FILE_HEADER" of its commands.
    """
    for entry in entries:
        if entry.content.startswith(_GIT_CRYPT):
            raise GateFailed(
                "build",
                f"{entry.path} is encrypted by git-crypt: the commit, and so the image, has no readable file",
                f"exclude it in {_IGNORE}, and give the service a secret instead (`invoke explain settings`)",
            )
        if entry.content.startswith(_LFS):
            raise GateFailed(
                "build",
                f"{entry.path} is in Git LFS: the commit, and so the image, has only a pointer to it",
                f"commit the file itself, exclude it in {_IGNORE}, or download it in the "
                "Dockerfile and check its hash",
            )
        yield entry
