"""Readiness: check if a rollback to the last healthy releases would work now.

The questions are those that a rollback asks before it touches anything, put for several releases, and with an
eye on every place that has the bytes, not on the first one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from release.deploy.core import lock
from release.deploy.core.fingerprints import compare
from release.deploy.core.image_source import ImageAvailability
from release.deploy.core.image_survey import ImageSurvey
from release.deploy.core.instance import InstanceSet
from release.deploy.core.steps import elapsed_ms
from release.deploy.environment.environment import EnvironmentRef, LiveEnvironment, Workspace
from release.deploy.environment.identify import look
from release.deploy.environment.ingress import moved, placed
from release.deploy.environment.migration_difference import crossing_between
from release.deploy.inspection.readiness_report import Readiness, Verdict, verdict_of
from release.deploy.planning import migration_gate, policy
from release.deploy.planning.no_rollback_target import no_target_reason
from release.deploy.planning.settings import fingerprints, pinned_problems, read_secrets, recorded_settings
from release.errors import EngineError, NotReady, Problem, ReleaseError
from release.ledger import query
from release.ledger.query import Event
from release.records import Record, Release
from release.runspec import RunSpec
from release.values import Struct, field


class Question(Struct, frozen=True, kw_only=True):
    """Scope of a readiness check."""

    releases: int
    """Number of releases that are not quarantined."""
    stock: ImageAvailability
    deep: bool = False
    """Also export and hash what the engine has."""
    engine: bool = True
    """False: this machine has no way to the engines, and what only they can tell is not judged."""
    secrets: bool = True
    """False: a secret that cannot be read here is not judged; the machine that deploys has it."""
    check: Callable[[], None] = lambda: None
    """Raises when the work is to be given up."""


def assess(workspace: Workspace, environment: str, question: Question) -> Readiness:
    """Check the readiness of one environment. Raises LedgerError if the ledger cannot be read; Cancelled."""
    began = time.monotonic()
    env_ref, problem = workspace.env_ref(environment), ""
    if not question.engine:
        return _assessed(_Assessment(env_ref, None, problem, question), began)
    try:
        with workspace.live(environment) as live, ExitStack() as stack:
            survey = live.target.images.survey(stack)
            return _assessed(_Assessment(env_ref, live, problem, question, survey), began)
    except (EngineError, NotReady) as error:
        problem = f"{error.attempted}: {error.found}"
    return _assessed(_Assessment(env_ref, None, problem, question), began)


def _assessed(assessment: _Assessment, began: float) -> Readiness:
    env_ref, live = assessment.env_ref, assessment.live
    verdicts = tuple(assessment.verdicts())
    return Readiness(
        service=env_ref.place.service,
        environment=env_ref.place.environment,
        engine=live.target.name if live is not None else None,
        wanted=assessment.question.releases,
        verdicts=verdicts,
        notes=tuple(assessment.notes(verdicts)),
        duration_ms=elapsed_ms(began),
    )


class _Case(Struct):
    """Findings of one release while it is examined."""

    release: Record[Release]
    bytes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def verdict(self) -> Verdict:
        """Return the verdict from all findings."""
        return verdict_of(
            self.release,
            "not ready" if self.problems else "ready",
            bytes=tuple(self.bytes),
            problems=tuple(self.problems),
            unchecked=tuple(self.unchecked),
            notes=tuple(self.notes),
        )


class _Assessment:
    """Check of one environment. Secrets are read once for each set of names."""

    def __init__(
        self,
        env_ref: EnvironmentRef,
        live: LiveEnvironment | None,
        problem: str,
        question: Question,
        survey: ImageSurvey | None = None,
    ) -> None:
        self.env_ref, self.live, self.question, self.survey = env_ref, live, question, survey
        self._engine_problem = problem
        self._secrets: dict[tuple[tuple[str, str], ...], tuple[list[str], dict[str, str]]] = {}
        self._lock = (
            lock.current_holder(live.target.lock_store(), env_ref.place) if live is not None else None
        )
        self._ours = look(live) if live is not None else InstanceSet(running=(), stopped=())

    def notes(self, verdicts: tuple[Verdict, ...]) -> Iterator[str]:
        """Return notes about the whole environment."""
        quarantined = [verdict.result == "quarantined" for verdict in verdicts]
        if said := no_target_reason(quarantined, self.question.releases):
            yield said
        if self._lock is not None:
            yield f"a deployment is in progress: {self._lock}"
        ledger, place = self.env_ref.workspace.ledger, self.env_ref.place
        if (paused := query.maintenance_stop(ledger, place.service, place.environment)) is not None:
            yield f"{place.environment} is {paused}; a rollback starts it again"

    def verdicts(self) -> Iterator[Verdict]:
        """Return verdicts, the running release first, until enough are not quarantined."""
        ledger, place = self.env_ref.workspace.ledger, self.env_ref.place
        counted = 0
        for event in query.last_run_of_each_release(ledger, place.service, place.environment):
            if counted == self.question.releases:
                return
            self.question.check()
            verdict = self._judged(event)
            counted += verdict.result != "quarantined"
            yield verdict

    def _judged(self, event: Event) -> Verdict:
        release = self.env_ref.release_of(event)
        if release is None:
            return Verdict(
                version="?",
                release=event.deployment.release,
                digest=event.deployment.digest,
                result="not ready",
                problems=("its record cannot be read; prove the ledger: invoke verify --ledger",),
            )
        place = self.env_ref.place
        word = query.active_quarantine(
            self.env_ref.workspace.ledger, place.service, release.id, place.environment
        )
        if word is not None:
            return verdict_of(release, "quarantined", problems=(f"it {word}",))
        case = _Case(release)
        self._bytes(case)
        spec = self._settings(case)
        if spec is not None:
            said = moved(spec, self.env_ref.settings)
            case.notes += [said] if said else []
            spec = placed(spec, self.env_ref.settings)
            self._restorable(case, spec)
            self._readable(case, spec)
            self._crossed_migrations(case)
        return case.verdict()

    # the bytes

    def _bytes(self, case: _Case) -> None:
        self._in_engine(case)
        holding = self.question.stock.holding(case.release.body.image)
        if holding.state == "whole":
            case.bytes.append("registry")
        if not case.bytes:
            engine = self.live.target.images.without if self.live is not None else ""
            no_target_reason = "without a registry, no other place has it"
            known = holding.state != "none" or self.live is not None
            if known:
                case.problems.append(f"{engine}{holding.problem or no_target_reason}")
            else:
                case.unchecked.append("the image, because only the engine could have it")
        elif holding.state == "lacking":
            where = "engine has" if "engine" in case.bytes else "nodes have"
            case.notes.append(f"only the {where} it: {holding.problem}")
        elif holding.state == "silent":
            case.unchecked.append(f"the registry: {holding.problem}")

    def _in_engine(self, case: _Case) -> None:
        image = case.release.body.image
        if self.live is None:
            if self._engine_problem:
                case.problems.append(f"cannot {self._engine_problem}")
            else:
                case.unchecked.append("the engine: its store, networks, volumes, ports")
            return
        if self.survey is None:
            return
        found = self.survey.look(image, deep=self.question.deep, check=self.question.check)
        case.problems += found.problems
        case.bytes += found.places
        case.notes += found.notes

    # the settings

    def _settings(self, case: _Case) -> RunSpec | None:
        """Return the settings that a rollback would restore."""
        try:
            return recorded_settings(self.env_ref, case.release, None)
        except ReleaseError as error:
            case.problems.append(error.found)
            return None

    def _restorable(self, case: _Case, spec: RunSpec) -> None:
        if self.live is None:
            return
        found = self.live.target.rollouts.settings_problems(spec, case.release.body.image)
        if self._lock is None:
            found = [*found, *self.live.target.rollouts.occupation_problems(spec, self._ours)]
        else:
            case.unchecked.append("ports, because a deployment is in progress")
        case.problems += map(_with_process, found)
        if spec.processes is not None:
            case.notes.append(f"processes: {', '.join(spec.every)}")

    def _readable(self, case: _Case, spec: RunSpec) -> None:
        """Return whether all secrets can be read now; note those that were rotated."""
        unread, fingerprinted = self._secrets_of(spec)
        (case.problems if self.question.secrets else case.unchecked).extend(unread)
        found = pinned_problems(self.env_ref, spec.secrets, fingerprinted)
        told = [f"secret {problem.path.rpartition('.')[2]}: {problem.message}" for problem in found]
        (case.problems if self.question.secrets else case.unchecked).extend(told)
        rotated = [
            name for name, value in fingerprinted.items() if compare(spec.secrets[name], value) == "rotated"
        ]
        if rotated:
            case.notes.append(f"rotated since, so a rollback would use today's value: {', '.join(rotated)}")

    def _crossed_migrations(self, case: _Case) -> None:
        """Return migrations since this release. A rollback over them needs an option."""
        running = self.env_ref.release_of(self.env_ref.current())
        between = crossing_between(self.env_ref, running, case.release)
        case.notes += [
            problem.message for problem in migration_gate.gate_problems(self.env_ref, between, policy.NOTHING)
        ]
        case.notes += migration_gate.unmatched_patterns(self.env_ref, running, case.release)

    def _secrets_of(self, spec: RunSpec) -> tuple[list[str], dict[str, str]]:
        key = tuple(sorted(spec.secrets.items()))
        if key not in self._secrets:
            values, unread = read_secrets(self.env_ref, spec)
            told = [f"secret {problem.path.rpartition('.')[2]}: {problem.message}" for problem in unread]
            self._secrets[key] = told, fingerprints(self.env_ref, values)
        return self._secrets[key]


def _with_process(problem: Problem) -> str:
    """Return a problem with its process, if there are several processes."""
    process = problem.path.partition(".processes.")[2].partition(".")[0]
    return f"{process}: {problem.message}" if process else problem.message
