"""The packages that the committed lockfile locks for an image, by kind of lockfile."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Final

from release.chain.building.context import write_folder
from release.chain.building.selection import read_committed_dockerfile
from release.chain.installed.choosing import InstallOptions, choose_install_options
from release.chain.installed.commands import InstallCommand, parse_install_commands, sets_uv_no_dev
from release.chain.installed.grouped import (
    select_from_pdm_lock,
    select_from_pipfile_lock,
    select_from_poetry_lock,
    select_from_pylock,
)
from release.chain.installed.target import LockfileNotEvaluated, PythonTarget
from release.chain.installed.wanted import (
    LockedPackages,
    LockfileQuery,
    select_from_requirements,
    select_from_uv_lock,
)
from release.chain.lockgate import detect
from release.chain.lockgate.gate import copy_lockfile, find_lockfile, service_file_reader
from release.chain.lockgate.results import Unchecked
from release.chain.lockgate.uv import find_matching_uv
from release.chain.pythons import NO_DOWNLOADS
from release.chain.stage_context import StageContext
from release.git.commit_files import Committed, read_linked
from release.programs.environment import PACKAGES
from release.programs.process import Command as Program
from release.records import LockFile

_BY_KIND: Final[Mapping[str, Callable[[LockfileQuery], LockedPackages]]] = {
    detect.UV: select_from_uv_lock,
    detect.POETRY: select_from_poetry_lock,
    detect.PDM: select_from_pdm_lock,
    detect.PIPENV: select_from_pipfile_lock,
    detect.PYLOCK: select_from_pylock,
    detect.REQUIREMENTS: select_from_requirements,
}

_EXPORT: Final = (
    *("export", "--frozen", "--offline", "--no-hashes", "--no-header", "--no-annotate"),
    *("--no-emit-local", "--format", "requirements-txt", "--quiet", "--no-python-downloads"),
)
_PROJECT_FILES: Final = frozenset({"pyproject.toml", "uv.lock", "uv.toml"})


def select_locked_packages(
    ctx: StageContext, lock: LockFile, target: PythonTarget | None, choice: InstallOptions | None = None
) -> LockedPackages:
    """Return the packages that the image should have.

    Args:
        ctx: the stage context.
        lock: the committed lockfile.
        target: Python and platform of the image; None for an image without a Python.
        choice: the part of the lockfile; None: as settings or Dockerfile choose it.

    Raises LockfileNotEvaluated, or an error of a damaged lockfile.
    """
    if target is None and lock.packages:
        raise LockfileNotEvaluated("the image has no Python in a folder `bin`, and no folder of packages")
    service, commit = ctx.plan.service, ctx.plan.commit.id
    dockerfile = read_committed_dockerfile(ctx.source, ctx.plan).decode("utf-8", "replace")
    commands = parse_install_commands(dockerfile, service.build.target)
    no_dev = sets_uv_no_dev(dockerfile, service.build.target)
    path = PurePosixPath(lock.path).relative_to(PurePosixPath(service.context)).as_posix()
    names = frozenset(ctx.source.listing(commit, service.context))
    content = read_linked(ctx.source, commit, lock.path)
    if content is None:
        raise LockfileNotEvaluated(f"the commit has no {lock.path}")
    question = LockfileQuery(
        content=content.decode("utf-8-sig"),
        path=path,
        packages=lock.packages,
        choice=choice or choose_install_options(lock.kind, service.installed, commands, no_dev=no_dev),
        target=target or PythonTarget(python="3", exact_version=None, platform="linux/amd64"),
        read=service_file_reader(ctx.source, commit, service),
        beside=partial(posixpath.join, posixpath.dirname(path)),
        export=partial(_run_uv_export, ctx),
        installed_files=tuple(_files_in_pip_options(commands, names, _INSTALLED)),
        only_limits=is_constraints_file(commands, names, path),
    )
    if lock.kind not in _BY_KIND:
        raise LockfileNotEvaluated(f"packages of a {lock.kind} cannot be compared with the image")
    return _BY_KIND[lock.kind](question)


_INSTALLED: Final = ("-r", "--requirement", "--requirements")
_LIMITS: Final = ("-c", "--constraint", "--constraints")


def is_constraints_file(commands: Sequence[InstallCommand], names: frozenset[str], path: str) -> bool:
    """Return whether pip uses a file as constraints only, and never installs it."""
    limits = set(_files_in_pip_options(commands, names, _LIMITS))
    return path in limits and path not in set(_files_in_pip_options(commands, names, _INSTALLED))


def _files_in_pip_options(
    commands: Sequence[InstallCommand], names: frozenset[str], options: tuple[str, ...]
) -> Iterator[str]:
    """Return the committed files that these options of pip name, matched by the end of their paths."""
    for command in commands:
        if command.tool == "pip" and command.words[0] in ("install", "sync"):
            for name in _option_arguments(list(command.words), options):
                parts = PurePosixPath(name).parts
                ends = (posixpath.join(*parts[start:]) for start in range(len(parts)))
                yield from (end for end in ends if end in names)


def _option_arguments(words: list[str], options: tuple[str, ...]) -> Iterator[str]:
    waiting = words[1:]
    while waiting:
        word = waiting.pop(0)
        name, is_given, value = word.partition("=")
        if word in options and waiting:
            yield waiting.pop(0)
        elif is_given and name in options:
            yield value
        elif word.startswith(options[0]) and len(word) > 2:
            yield word[2:]


def _run_uv_export(ctx: StageContext, words: tuple[str, ...]) -> str:
    """Return the output of `uv export` on the committed project. Raises LockfileNotEvaluated."""
    committed = Committed(ctx.source, ctx.plan.commit.id, ctx.plan.service.context)
    names = [path for path in committed.files if PurePosixPath(path).name in _PROJECT_FILES]
    with (
        ctx.run_folder.temporary_folder("installed") as folder,
        ctx.run_folder.temporary_folder("export-home") as home,
    ):
        write_folder(committed.safe(names), folder)
        checking = copy_lockfile(ctx, find_lockfile(ctx, committed), committed, folder, home)
        uv = find_matching_uv(checking)
        if isinstance(uv, Unchecked):
            raise LockfileNotEvaluated(uv.reason)
        argv = (uv, *_EXPORT, "--output-file", str(home / "requirements.txt"), *words)
        where = (folder / checking.path).parent
        program = Program(argv=argv, cwd=where, env=NO_DOWNLOADS, inherits=PACKAGES)
        done = ctx.execute("installed", program, check=False)
        if done.status != 0:
            last = next(reversed(done.tail), f"status {done.status}")
            raise LockfileNotEvaluated(f"`uv export {' '.join(words)}` failed: {last}")
        return (home / "requirements.txt").read_text(encoding="utf-8")
