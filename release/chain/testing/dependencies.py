"""Packages that the tests need beside the released image: locked groups, extras, requirements files.

Versions and hashes are those of the lockfile, selected for the Python of the image. A package that the image
has, or should have by the lockfile, is never installed or replaced: the tests see what is released.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from release.chain.building.stage import BuiltImage
from release.chain.installed.choosing import MAIN, InstallOptions
from release.chain.installed.locked import select_locked_packages
from release.chain.installed.pinned import Pin, pins_of
from release.chain.installed.target import LockfileNotEvaluated
from release.chain.installed.wanted import ANY
from release.chain.lockgate import detect
from release.chain.lockgate.damaged import ANY_TROUBLE
from release.chain.lockgate.entries import (
    parse_requirements_file,
    refuse_unreadable_lines,
    without_constraints,
)
from release.chain.lockgate.gate import read_committed_lockfile, service_file_reader
from release.chain.stage_context import StageContext
from release.chain.testing.interpreter import Interpreter, ask, python_name
from release.config import Test
from release.errors import GateFailed, SourceError
from release.events import Notice
from release.git.commit_files import read_linked
from release.records import LockFile
from release.values import Struct

_REPLACED: Final = ("pip", "setuptools", "wheel")
"""Packages of the installation itself, which no test imports from the image."""
_SHOWN: Final = 5


class Dependencies(Struct, frozen=True, kw_only=True):
    """Packages for the temporary layer."""

    hashed: tuple[str, ...] = ()
    """Lines of a requirements file, each with hashes."""
    unhashed: tuple[str, ...] = ()
    """Lines for packages of which the lockfile has no hash, as those from a git repository."""
    requirements: tuple[str, ...] = ()
    """Requirements files below `context`."""
    files: tuple[str, ...] = ()
    """These files, and the files that they include."""
    limits: tuple[str, ...] = ()
    """Packages of the image, as "six==1.17.0": constraints for the requirements files."""


NOTHING: Final = Dependencies()


def dependencies(ctx: StageContext, built: BuiltImage) -> Dependencies:
    """Return what the layer installs. Raises GateFailed: the settings ask for what is not locked."""
    config = ctx.plan.service.test
    if not config.is_locked:
        return NOTHING
    found = ask(ctx, built.stored_image, python_name(config.command))
    hashed, unhashed = _locked(ctx, found, config) if config.groups or config.extras else ((), ())
    return Dependencies(
        hashed=hashed,
        unhashed=unhashed,
        requirements=config.requirements,
        files=_files(ctx, config.requirements),
        limits=tuple(
            f"{name}=={version}"
            for name, version in sorted(found.packages.items())
            if name not in _REPLACED and config.requirements
        ),
    )


def _locked(ctx: StageContext, found: Interpreter, config: Test) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lines with hashes, and those without."""
    lock = read_committed_lockfile(ctx.source, ctx.plan.commit.id, ctx.plan.service)
    if lock is None:
        raise GateFailed(
            "test", "the commit has no lockfile that can be read", "run `nox -s lock`, which shows the reason"
        )
    if lock.kind == detect.REQUIREMENTS:
        raise GateFailed(
            "test",
            f"{lock.path} has no groups and no extras",
            'name a requirements file instead: test.requirements = ["requirements-dev.txt"]',
        )
    choice = InstallOptions(
        source="test.groups", groups=frozenset({MAIN, *config.groups}), extras=frozenset(config.extras)
    )
    try:
        wanted = select_locked_packages(ctx, lock, found.target, choice).required
        released = select_locked_packages(ctx, lock, found.target)
        pins = pins_of(lock.kind, _content(ctx, lock))
    except LockfileNotEvaluated as error:
        raise _not_evaluated(lock, str(error)) from error
    except ANY_TROUBLE as error:
        raise _not_evaluated(lock, f"it cannot be read: {error}"[:300]) from error
    more = {name: versions for name, versions in wanted.items() if name not in released.required}
    _tell(ctx, lock, more, found.packages)
    return _lines(lock, {name: each for name, each in more.items() if name not in found.packages}, pins)


def _content(ctx: StageContext, lock: LockFile) -> str:
    content = read_linked(ctx.source, ctx.plan.commit.id, lock.path) or b""
    return content.decode("utf-8-sig")


def _not_evaluated(lock: LockFile, why: str) -> GateFailed:
    return GateFailed(
        "test",
        f"the groups of {lock.path} cannot be selected for the image: {why}",
        "correct test.groups and test.extras, or write test.target: a stage that installs them",
    )


def _tell(
    ctx: StageContext, lock: LockFile, more: Mapping[str, frozenset[str]], there: Mapping[str, str]
) -> None:
    """Log packages for the tests that the image has already, in another version."""
    for name, versions in more.items():
        if name in there and there[name] not in versions and ANY not in versions:
            locked = " or ".join(sorted(versions))
            ctx.report_progress(
                "test", f"{name} {there[name]} of the image stays; {lock.path} locks {locked}"
            )


def _lines(
    lock: LockFile, more: Mapping[str, frozenset[str]], pins: Mapping[tuple[str, str], Pin]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = {
        name: next((pins[name, version] for version in sorted(versions) if (name, version) in pins), None)
        for name, versions in more.items()
    }
    lacking = [name for name, pin in found.items() if pin is None]
    if lacking:
        raise GateFailed(
            "test",
            f"{lock.path} locks {', '.join(lacking[:_SHOWN])} as a folder or file, and the layer has none",
            "write test.target: a stage of the Dockerfile that installs it",
        )
    pinned = [pin for pin in found.values() if pin is not None]
    return (
        tuple(pin.line for pin in pinned if pin.hashes),
        tuple(pin.line for pin in pinned if not pin.hashes),
    )


def _files(ctx: StageContext, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return requirements files with all included files. Raises GateFailed: one is missing or damaged."""
    read = service_file_reader(ctx.source, ctx.plan.commit.id, ctx.plan.service)
    found: dict[str, None] = {}
    loose: list[str] = []
    for name in names:
        try:
            entries = parse_requirements_file(PurePosixPath(name).as_posix(), read)
        except (SourceError, ValueError) as error:
            raise _bad(name, str(error), "correct the file") from error
        if entries.missing:
            raise _bad(name, f"the commit has no {', '.join(entries.missing)}", "commit it")
        if (broken := refuse_unreadable_lines(entries)) is not None:
            raise _bad(name, broken.reason, broken.hint)
        local = next((each.text for each in without_constraints(entries) if each.is_local), None)
        if local is not None:
            raise _bad(
                name,
                f"it installs {local}, a folder or file of the commit, and the layer does not have it",
                "leave the line out, because the image has the service's code; or write test.target",
            )
        found |= dict.fromkeys(sorted(map(posixpath.normpath, entries.files)))
        loose += [each.name for each in without_constraints(entries) if not each.is_pinned]
    if loose:
        text = f"the requirements files of the tests pin no version of {', '.join(loose[:_SHOWN])}"
        ctx.emit(Notice(text=f"{text}: the same commit may be tested with other versions tomorrow"))
    return tuple(found)


def _bad(name: str, found: str, hint: str) -> GateFailed:
    return GateFailed("test", f"{name} (`test.requirements`) cannot be used: {found}", hint)
