"""`nox -s release -- --changed`: the services that changed since their own last release, side by side.

Each service is released by a separate program, with its own version, log and result. A failed service stops
no other service. The result is read from the ledger, not from the program's output.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal

from release.chain.assemble import Project, read_committed_config
from release.chain.plan import Options, make_plan
from release.chain.run_folder import RunFolder
from release.errors import Cancelled, CommandFailed, NothingToRelease, ReleaseError, UsageError
from release.events import Failed, Finished, Progress, Started
from release.git.source import Source
from release.ledger import query
from release.programs.cancellation import Cancellation
from release.programs.environment import EVERYTHING
from release.programs.process import Command, run
from release.values import Struct, plain

JOBS: Final = 2
"""Number of services that are released at the same time."""

_UNSHARED: Final = {"GITHUB_OUTPUT": ""}
"""Variables that a service's program does not get: services would overwrite each other's outputs."""


class ServiceChange(Struct, frozen=True, kw_only=True):
    """One service, compared with its last release."""

    service: str
    project: Project | None
    last: str = ""
    """Version of the service's last release; empty for an unreleased service."""
    version: str = ""
    """Version that is due, or that the commit already has; empty if none is due."""
    commits: int = 0
    """Number of commits since the last release that touch the service's paths."""
    error: ReleaseError | None = None
    """Error that stopped the comparison."""

    @property
    def is_due(self) -> bool:
        """Return whether the service is to be released."""
        return bool(self.version)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON data, for `--plan`."""
        found = self.error.found if self.error is not None else None
        data = {"service": self.service, "last": self.last or None, "version": self.version or None}
        return data | {"commits": self.commits, "error": found}


class ServiceResult(Struct, frozen=True, kw_only=True):
    """Result of one service's release."""

    service: str
    status: Literal["released", "unchanged", "failed"]
    version: str | None = None
    reference: str | None = None
    """Repository and digest."""
    error: str | None = None
    log: str | None = None
    """Path of the complete output of the service's program."""

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        return plain(self)

    @property
    def to_line(self) -> str:
        """Return the result as one line, for standard output."""
        if self.status == "released":
            return f"{self.service} {self.version} {self.reference}"
        return f"{self.service} {self.status}"


def parse_jobs(text: str | None) -> int:
    """Return the number of services that are released at the same time. Raises UsageError."""
    if text is None:
        return JOBS
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:4]) <= 64 or len(text) > 2:
        raise UsageError(f"release with --jobs {text!r}", "it is not a number from 1 to 64", "use --jobs 2")
    return int(text)


def refuse_other_options(arguments: argparse.Namespace) -> None:
    """Refuse options that apply to one service only. Raises UsageError."""
    given = [name for name in ("service", "version", "bump") if getattr(arguments, name) is not None]
    if given:
        named = ", ".join(f"--{name}" for name in given)
        found = f"{named}: each service has a version of its own"
        raise UsageError("release with --changed", found, "leave it out, or release one: --service NAME")


def read_service_names(folder: Path) -> tuple[Source, tuple[str, ...]]:
    """Return the repository and the names of all services in its commit. Raises SourceError, ConfigError."""
    source = Source.open(folder)
    return source, tuple(read_committed_config(source, source.head()).services)


def compare_services(
    names: Sequence[str], opened: Callable[[str], Project], options: Options
) -> list[ServiceChange]:
    """Return a comparison of each service with its last release; `error` if the comparison failed."""
    return [_compare_service(name, opened, options) for name in names]


def _compare_service(name: str, opened: Callable[[str], Project], options: Options) -> ServiceChange:
    try:
        project = opened(name)
        project.refresh_ledger()
        facts = project.read_facts(options)
        last = str(facts.last.version) if facts.last is not None else ""
        found = ServiceChange(service=name, project=project, last=last, commits=len(facts.messages))
        if facts.release_of_commit is not None:
            return _with_next_version(found, facts.release_of_commit.body.version)
        plan = make_plan(project.service, facts, options, several=project.several)
        return _with_next_version(found, str(plan.version))
    except NothingToRelease:
        return found
    except ReleaseError as error:
        return ServiceChange(service=name, project=None, error=error)


def _with_next_version(change: ServiceChange, version: str) -> ServiceChange:
    return ServiceChange(
        service=change.service,
        project=change.project,
        last=change.last,
        version=version,
        commits=change.commits,
    )


def release_command(session: Any, service: str, options: Sequence[str]) -> tuple[str, ...]:
    """Return the command that releases one service: the session `release` of the same noxfile."""
    noxfile = session._runner.global_config.noxfile  # noqa: SLF001 - nox tells it nowhere else
    words = (sys.executable, "-m", "nox", "--noxfile", str(noxfile), "-s", "release", "--")
    return (*words, "--service", service, *options)


class ServiceReleases(Struct, frozen=True, kw_only=True):
    """A release of all services that are due."""

    argv: Callable[[str], tuple[str, ...]]
    """Return the command that releases the service of this name."""
    root: Path
    jobs: int
    cancellation: Cancellation
    environ: Mapping[str, str] = os.environ

    def release_all(self, changes: Sequence[ServiceChange]) -> list[ServiceResult]:
        """Release the services that are due; return the result of each service, in the given order."""
        folder = RunFolder.create(self.root)
        with ThreadPoolExecutor(max_workers=self.jobs) as pool:
            return list(pool.map(lambda change: self._release_if_due(change, folder), changes))

    def _release_if_due(self, change: ServiceChange, folder: RunFolder) -> ServiceResult:
        if change.error is not None:
            return ServiceResult(service=change.service, status="failed", error=str(change.error))
        if not change.is_due or change.project is None:
            return ServiceResult(service=change.service, status="unchanged", version=change.last or None)
        return self._run_release(change, change.project, folder.path / f"{change.service}.log")

    def _run_release(self, change: ServiceChange, project: Project, log: Path) -> ServiceResult:
        """Run the program of one service, and return its result."""
        name, emit, began = change.service, project.emit, time.monotonic()
        command = Command(argv=self.argv(name), cwd=Path.cwd(), env=_UNSHARED, inherits=EVERYTHING)
        emit(Started(name=name))
        error = ""
        try:
            run(
                command,
                log=log,
                mask=project.mask,
                cancellation=self.cancellation,
                on_line=lambda line: emit(Progress(name=name, text=line)),
            )
        except CommandFailed as failure:
            error = _failure_reason(failure)
        except ReleaseError as failure:
            error = failure.found
        result = _result_from_ledger(change, project, error, log, self.root)
        took = round((time.monotonic() - began) * 1000)
        if result.status == "released":
            emit(Finished(name=name, duration_ms=took, summary=result.to_line, log=log))
        else:
            stopped = self.cancellation.reason is not None
            emit(Failed(name=name, duration_ms=took, summary=result.error or "", log=log, stopped=stopped))
        return result


def _failure_reason(failure: CommandFailed) -> str:
    """Return why a service's program failed: its last line that begins with "cannot", else its status."""
    told = [line.strip() for line in failure.tail if line.strip().startswith("cannot ")]
    return told[-1] if told else failure.found


def _result_from_ledger(
    change: ServiceChange, project: Project, error: str, log: Path, root: Path
) -> ServiceResult:
    """Return a service's result from the ledger. A failure after the record names the release, too."""
    project.ledger.refresh()
    record = query.release_of_commit(project.ledger, change.service, project.commit.id)
    shown = str(log.relative_to(root))
    if record is None:
        return ServiceResult(
            service=change.service, status="failed", error=error or "nothing is recorded", log=shown
        )
    image = record.body.image
    return ServiceResult(
        service=change.service,
        status="failed" if error else "released",
        version=record.body.version,
        reference=f"{image.repository}@{image.digest}",
        error=error or None,
        log=shown,
    )


def raise_comparison_errors(changes: Sequence[ServiceChange]) -> None:
    """Raise one error for all services that could not be compared. No error: all were compared."""
    found = "; ".join(f"{each.service}: {each.error.found}" for each in changes if each.error is not None)
    if found:
        raise ReleaseError(
            "compare each service with its last release", found, "correct it, and run it again"
        )


def raise_release_errors(results: Sequence[ServiceResult], cancellation: Cancellation) -> None:
    """Raise one error for all services that failed. Raises Cancelled after a signal."""
    try:
        cancellation.check()
    except Cancelled as error:
        done = [each.service for each in results if each.status == "released"]
        if done:
            raise Cancelled(error.attempted, f"{error.found}; released: {', '.join(done)}") from error
        raise
    failed = [each for each in results if each.status == "failed"]
    if failed:
        found = "; ".join(f"{each.service}: {each.error}" for each in failed)
        logs = ", ".join(each.log for each in failed if each.log is not None)
        raise ReleaseError(
            f"release {len(failed)} of {len(results)} services",
            found,
            f"read {logs}; then run it again: what is released stays"
            if logs
            else "correct it, and run it again",
        )
