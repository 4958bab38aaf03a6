"""Workspace of an operator: a service's repository, its ledger, and one environment with its target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final, Self

from release import config
from release.actor import ci_system, current_actor, run_url
from release.config import Config, Environment, Service
from release.deploy.core import watch_time
from release.deploy.core.place import Place, command
from release.deploy.core.target import Target
from release.deploy.environment.unconfigured import choose
from release.deploy.targets import open_target
from release.errors import LedgerError, LedgerRewritten, UsageError
from release.events import Emit, Notice, Progress, Warned
from release.git.source import Source
from release.images.trust import trust_certificates
from release.ledger import query
from release.ledger.opening import open_ledger
from release.ledger.query import Event
from release.ledger.releases import as_release
from release.ledger.store import Ledger
from release.records import Actor, Deployment, Record, Release, Run
from release.values import Struct, replace

PATIENCE_SECONDS: Final = 5.0
"""Limit for all answers of a git server to an operator: once in a command."""

_REMEMBERED: Final = 500
"""Number of deployment events that are read for the duration of deployments."""


class Workspace(Struct, frozen=True, kw_only=True, dict=True):
    """A service's repository, as an operator uses it, with the configuration of its working copy."""

    source: Source
    config: Config
    service: Service
    environ: Mapping[str, str]
    emit: Emit

    @classmethod
    def open(cls, folder: Path, service: str | None, *, environ: Mapping[str, str], emit: Emit) -> Workspace:
        """Open the repository of this folder. Raises SourceError, ConfigError, UsageError."""
        source = Source.open(folder)
        configured = config.load(source.root)
        chosen = configured.service(service)
        _believe(source, chosen)
        return cls(
            source=source,
            config=configured,
            service=chosen,
            environ=environ,
            emit=emit,
        )

    def beside(self, service: str) -> Workspace:
        """Return the workspace of another service of this repository, with the same ledger.

        The workspace needs no close. Raises UsageError if the service is missing or has another ledger.
        """
        chosen = self.config.service(service)
        if chosen.ledger != self.service.ledger:
            raise UsageError(
                f"change {service} together with {self.service.service}",
                "their tables `ledger` differ, so their events cannot be recorded together",
                "give both the same `ledger`, or deploy one after the other",
            )
        _believe(self.source, chosen)
        other = replace(self, service=chosen)
        other.__dict__["ledger"] = self.ledger
        return other

    def __enter__(self) -> Self:
        """Return this object."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop running git programs."""
        self.source.close()

    @cached_property
    def ledger(self) -> Ledger:
        """Return this clone's ledger, up to its verified head. Raises NotALedger, LedgerRewritten."""
        services = self.config.services.keys()
        in_ci = ci_system(self.environ) is not None
        ledger = open_ledger(self.source, self.service.ledger, services, self._say, self._warn, in_ci=in_ci)
        self._warn_unproven(ledger, None)
        return ledger

    def vouching_ledger(self) -> Ledger:
        """Open the ledger past commits that no allowed signer signed. Raises LedgerUnproven for any other."""
        settings, services = self.service.ledger, self.config.services.keys()
        ledger = open_ledger(self.source, settings, services, self._say, self._warn, vouching=True)
        if ledger.unproven is not None:
            raise ledger.unproven
        return ledger

    def _say(self, text: str) -> None:
        self.emit(Notice(text=text))

    def _warn(self, text: str) -> None:
        self.emit(Warned(text=text))

    def _warn_unproven(self, ledger: Ledger, told: LedgerError | None) -> None:
        """Warn that the ledger is only read up to its verified head, once for each reason."""
        error = ledger.unproven
        if error is not None and (told is None or error.found != told.found):
            self._warn(f"cannot {error.attempted}: {error.found}; {error.hint}")

    def refresh(self) -> bool:
        """Fetch the ledger; return False, with a warning, if the remote does not answer soon.

        Only a clone without a ledger waits for the remote.

        If the server lost records, use those of this clone, with a warning, and publish nothing.

        Raises:
            LedgerError: the branch is not a ledger.
        """
        remote = self.service.ledger.remote
        patience: float | None = PATIENCE_SECONDS
        if remote is not None and self.ledger.head is None:
            self.emit(Notice(text=f"this clone has no ledger yet: fetching it from {remote}"))
            patience = None
        told = self.ledger.unproven
        try:
            self.ledger.refresh(patience)
        except LedgerRewritten as error:
            self.ledger.stay(error)
        self._warn_unproven(self.ledger, told)
        if isinstance(self.ledger.unproven, LedgerRewritten):
            return False
        silence = self.ledger.silence
        if silence is not None:
            found = f"the git remote {remote} does not answer: using what this clone knows"
            self.emit(Warned(text=f"{found} ({silence.found})"))
        return silence is None

    def warn_waiting(self) -> None:
        """Warn that a record waits in this clone, and why it could not be published."""
        if self.ledger.unproven is not None:
            why = "the ledger is not proven, so nothing is added to it"
            then = "repair it as the warning shows, then `invoke sync` publishes the event"
            self._warn(f"{why}: the event waits in this clone; {then}")
        else:
            self._warn(
                "the git remote does not answer: the event waits in this clone. Run `invoke sync` "
                "when the remote answers"
            )

    def tell(self, text: str) -> None:
        """Show which secret is being read, because its command may take some time."""
        self.emit(Progress(name="secrets", text=text))

    @cached_property
    def actor(self) -> Actor:
        """Return the person or job that acts. git is asked once for all records."""
        return current_actor(self.source.identity(), self.environ)

    def run(self, run: str) -> Run:
        """Return the run of this id, with the address of the CI job."""
        return Run(id=run, url=run_url(self.environ))

    @contextmanager
    def live(self, environment: str | None) -> Iterator[LiveEnvironment]:
        """Yield an environment with an open engine. Raises UsageError, EngineUnreachable."""
        name, settings = choose(self.service, self.ledger, environment)
        with ExitStack() as stack:
            place = self._place(name)
            ports = {process: self.service.port_of(name, process) for process in settings.every}
            target = open_target(place, settings, ports, stack, self.emit)
            yield LiveEnvironment(workspace=self, settings=settings, place=place, target=target)

    def env_ref(self, environment: str | None) -> EnvironmentRef:
        """Return an environment without its engine. Raises UsageError."""
        name, settings = choose(self.service, self.ledger, environment)
        return EnvironmentRef(workspace=self, settings=settings, place=self._place(name))

    def _place(self, environment: str) -> Place:
        return Place(
            service=self.service.service, environment=environment, flags=tuple(self._flags(environment))
        )

    def _flags(self, environment: str | None) -> Iterator[str]:
        if len(self.config.services) > 1:
            yield f"--service {self.service.service}"
        if environment is not None and len(self.service.environments) > 1:
            yield f"--environment {environment}"

    def command(self, words: str, environment: str | None = None) -> str:
        """Return a command line about one environment or none. See `Place.command`."""
        return command(words, self._flags(environment))


class EnvironmentRef(Struct, frozen=True, kw_only=True):
    """One environment of a service, as configuration and ledger know it."""

    workspace: Workspace
    settings: Environment
    place: Place

    def current(self) -> Event | None:
        """Return the deployment that should be running, by the ledger."""
        return query.current_deployment(self.workspace.ledger, self.place.service, self.place.environment)

    def event_of(self, deployment: str) -> Event | None:
        """Return the healthy event of this deployment."""
        found = self.events_of(deployment)
        return next((event for event in found if event.deployment.status == "healthy"), None)

    def events_of(self, deployment: str) -> tuple[Event, ...]:
        """Return all events of this deployment by time; empty if the deployment is empty."""
        every = query.events_of(self.workspace.ledger, self.place.service, deployment) if deployment else ()
        mine = [
            event
            for event in every
            if (event.deployment.deployment, event.deployment.environment)
            == (deployment, self.place.environment)
        ]
        return tuple(sorted(mine, key=lambda event: event.recorded_at))

    def durations(self, limit: int) -> tuple[int, ...]:
        """Return the milliseconds of the latest healthy deployments, without their watches."""
        events = query.deployments(self.workspace.ledger, self.place.service, self.place.environment)
        healthy = (
            event.deployment for event in islice(events, _REMEMBERED) if event.deployment.status == "healthy"
        )
        return tuple(islice((took for took in map(_replacing, healthy) if took is not None), limit))

    def release_of(self, event: Event | None) -> Record[Release] | None:
        """Return the release that an event deployed; None if its record is not here."""
        if event is None:
            return None
        try:
            record = self.workspace.ledger.record(event.deployment.release)
        except LedgerError:
            return None
        return as_release(record) if isinstance(record.body, Release) else None


class LiveEnvironment(EnvironmentRef, frozen=True, kw_only=True):
    """One environment of a service, with its open target."""

    target: Target
    """Target that runs the environment. All access to instances goes through it."""


def _believe(source: Source, service: Service) -> None:
    """Trust the certificates of the service's registry."""
    if service.registry_ca is not None:
        trust_certificates(service.repository.host, source.root / service.registry_ca)


def _replacing(done: Deployment) -> int | None:
    """Return the milliseconds that a deployment took to replace instances; None if unknown.

    A deployment that was shorter than its watch replaced nothing: it only verified the running release.
    """
    watched = watch_time.wanted(done.run_spec, done.reason)
    if done.duration_ms is None or done.duration_ms < watched:
        return None
    return done.duration_ms - watched
