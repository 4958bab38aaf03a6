"""A ledger that is written from short lines: releases, deployments and rebuilds at given moments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from release.git.source import Source as Clone
from release.ledger.metrics import Metric, Metrics, Span, measure
from release.ledger.metrics.locks import is_lock_change
from release.ledger.store import Ledger
from release.records import Actor, Body, Deployment, Draft, Gate, LockFile, Record, Release
from release.values import replace
from tests.unit.ledger import samples
from tests.unit.ledger.samples import digits, draft, event, release, verification
from tests.unit.repository import Repository


def at(text: str) -> str:
    """ "2026-10-24 09:00" as records write it."""
    return f"{text.replace(' ', 'T')}:00.000Z"


class Script:
    """The ledger of a repository; records are appended in the order of the calls."""

    def __init__(self, here: Repository) -> None:
        self.here = here
        self.ledger: Ledger = samples.ledger(here.root)
        self.releases: dict[str, Record[Body]] = {}

    def released(
        self,
        version: str,
        moment: str,
        *,
        committed: str = "",
        lock: str = "A",
        changed: Sequence[str] = ("app.py",),
        gates: Sequence[Gate] = (),
    ) -> None:
        """A release of a real commit that changes these files; the lockfile is `lock`."""
        commit = self.here.commit(version, **dict.fromkeys(changed, f"{version} {lock}"))
        tree = self.here.git("rev-parse", f"{commit}^{{tree}}")
        made = release(version, commit=commit, at=at(moment))
        assert isinstance(made.body, Release)
        times = {"commit_time": at(committed or moment), "tree": tree}
        update = {
            "source": made.body.source.model_copy(update=times),
            "lock": LockFile(kind="uv", path="uv.lock", sha256=digits(lock), packages={}),
            "gates": tuple(gates),
        }
        (self.releases[version],) = self.ledger.append([made.of(made.body.model_copy(update=update))])

    def deployed(
        self,
        version: str,
        start: str,
        end: str = "",
        status: str = "healthy",
        *,
        reason: str = "promote",
        environment: str = "production",
    ) -> None:
        """An attempt with its two events; without an end, only the first."""
        drafts = [self.event(version, start, start, "started", reason, environment)]
        drafts += [self.event(version, start, end, status, reason, environment)] if end else []
        self.ledger.append(drafts)

    def event(
        self,
        version: str,
        start: str,
        moment: str,
        status: str,
        reason: str = "promote",
        environment: str = "production",
    ) -> Draft[Body]:
        """One event of the attempt that began at `start`."""
        of = self.releases[version]
        made = event(of, status, deployment=f"{environment} {start}", environment=environment, at=at(moment))
        assert isinstance(made.body, Deployment)
        assert isinstance(of.body, Release)
        told = {"reason": reason, "digest": of.body.image.digest}
        return made.of(made.body.model_copy(update=told))

    def rebuilt(self, version: str, moment: str, result: str, ci: str | None = None) -> None:
        """A recorded rebuild on a machine, or by a CI system."""
        passed = verification(self.releases[version], "rebuild", at=at(moment))
        failed = verification(self.releases[version], "rebuild", result="failed", at=at(moment))
        actor = Actor(name="Ada", email="ada@example.org", ci=ci)
        self.ledger.append([replace(passed if result == "passed" else failed, actor=actor)])

    def noted(self, moment: str) -> None:
        """A record that no metric reads."""
        self.ledger.append([draft(samples.note("hello").body, at=at(moment))])

    def measured(self, since: str, until: str, *environments: str) -> Metrics:
        """The metrics of this span."""
        source = Clone.open(self.here.root)
        return measure(
            self.ledger,
            "api",
            environments or ("production",),
            Span(since=at(since), until=at(until)),
            is_lock_change=partial(is_lock_change, source),
        )


def gate(name: str, started: str, seconds: float, *, run: str | None = None) -> Gate:
    """A stage that passed; with a run, it was reused."""
    return Gate(
        name=name,
        status="passed",
        started=started,
        duration_ms=round(seconds * 1000),
        evidence_sha256=digits("seen"),
        run=run,
    )


def find(found: Metrics, name: str, **labels: str) -> Metric:
    """The one metric of this name and these labels."""
    (only,) = [each for each in found.metrics if each.name == name and each.labels == labels]
    return only


def value(found: Metrics, name: str, **labels: str) -> float | None:
    """Its value in production, or with these labels."""
    return find(found, name, **(labels or {"environment": "production"})).value
