"""The command that undoes migrations before an older release goes in, and who has to know what came of it.

It changes the data, and no failure after it changes that back. So its container stays until the ledger has
the end of the deployment: whoever comes after a crash sees by it whether the command ran and how it ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Literal, TypeVar

from release.config import Migrations
from release.deploy.core.image_location import find_stored
from release.deploy.core.place import DEPLOYMENT, VERSION, Identity, container_spec, describe
from release.deploy.core.steps import step
from release.deploy.core.target import RolloutContext
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.identify import runs_release
from release.deploy.environment.journal import Unfinished
from release.deploy.environment.observe import Observation
from release.deploy.planning.plan import MigrationCommand
from release.deploy.planning.policy import Allowance
from release.deploy.planning.settings import read_secrets
from release.errors import DeploymentFailed, EngineError, LockHeld, Problem, ReleaseError
from release.events import Progress, Warned
from release.images.engine import ContainerSpec, ContainerState
from release.ledger import query
from release.ledger.deployments import events_of
from release.ledger.query import Event
from release.migrations import HEAD, Crossing
from release.records import Deployment, Record, Release, Undoing
from release.redact import Redacted
from release.reference import Digest
from release.values import Struct, replace

ROLE: Final = "migration"
"""The role in the labels."""
E = TypeVar("E", bound=ReleaseError)

_LINES: Final = 1000
"""How many lines of the command's output are shown at most."""
_IDLE: Final = ("created", "exited", "dead", "removing")
_PATH: Final = "migrations.down"


class Down(Struct, frozen=True, kw_only=True):
    """The command, and the container that it runs in, which gets its name and labels when it is made."""

    container: ContainerSpec
    identity: Identity
    """Of the release whose image it is."""
    repository: str
    undoing: Undoing
    secrets: Mapping[str, Redacted]
    timeout: int
    """Milliseconds."""

    @property
    def shown(self) -> MigrationCommand:
        """Return the command as the plan shows it."""
        return MigrationCommand(
            command=self.undoing.command,
            version=self.identity.version,
            image=f"{self.repository}@{self.identity.digest}",
            timeout=self.timeout,
        )


# --- beforehand


class Earlier(Struct, frozen=True, kw_only=True):
    """An attempt that undid migrations, and after which nothing was verified healthy."""

    attempt: str
    """In words: by whom and when."""
    undoing: Undoing

    def __str__(self) -> str:
        """For people."""
        return f"{fact(self.undoing)} by {self.attempt}, and nothing was verified healthy since"


def decide(
    live: LiveEnvironment,
    observation: Observation,
    left: Record[Release] | None,
    found: Crossing | None,
    allowed: Allowance,
    earlier: Earlier | None,
) -> tuple[Down | None, list[Problem]]:
    """Return what has to run before what is there is replaced, and all that speaks against running it.

    It runs with the settings that what is left was deployed with, however that ended.

    Args:
        site: the environment.
        sight: what is there.
        left: the release that is to be replaced: it knows how to undo its own migrations.
        found: what lies between it and the target.
        allowed: what the command line says.
        earlier: who undid migrations already.
    """
    settings = live.workspace.service.migrations
    if settings is None or settings.down is None or left is None or found is None or not found.undone:
        return None, []
    if allowed.down == "done":
        return None, []
    command = found.command(settings.down, settings.base)
    event = _deployed(observation, left)
    wrong = _against(live, command, left, event)
    wrong += _repeats(command, earlier) if allowed.down != "again" else []
    if event is None or wrong:
        return None, [Problem(path=_PATH, message=message) for message in wrong]
    secrets, unread = read_secrets(live, event.deployment.run_spec)
    return _made(live, settings, command, left, event, found, secrets), unread


def _deployed(observation: Observation, left: Record[Release]) -> Event | None:
    """The deployment that put this release there, or tried to; None where nobody knows its settings."""
    told = observation.told
    return told if told is not None and told.deployment.release == left.id else None


def ensure(
    live: LiveEnvironment, observation: Observation, own: str, before: Earlier | None, *, answers: bool
) -> None:
    """Under the lock: nobody undid migrations since the plan was made. Raises LockHeld, EngineError.

    Who failed after that left what runs as it was, so the containers that serve do not tell.

    Args:
        site: the environment.
        sight: what was there when the plan was made.
        own: this deployment.
        before: who undid some before the plan was made.
        answers: whether the ledger's remote did a moment ago; nobody waits for one that did not.
    """
    if answers:
        live.workspace.refresh()
    there = left(live)
    found = earlier_of(live, there, observation, own)
    busy = "; ".join(problem.message for problem in at_work(there))
    if busy or found != before:
        raise LockHeld(
            f"undo migrations of {live.place}",
            f"the plan was made before: {busy or found or 'something was verified healthy meanwhile'}",
            "nothing was touched; run the command again",
        )


def _against(
    live: LiveEnvironment, command: tuple[str, ...], left: Record[Release], event: Event | None
) -> list[str]:
    """Return why the command cannot run here, with the way out."""
    text, word = " ".join(command), "--down done says that the data is as the older release needs it"
    if live.settings.engine == "swarm":
        return [f"a Swarm runs no `down` command: run `{text}` by hand; {word}"]
    wrong = []
    if event is None:
        wrong.append(
            f"`{text}` cannot run: what runs is no deployment that the ledger knows, so its settings are "
            f"not known here; {word}"
        )
    if find_stored(live.engine, left.body.image) is None:
        image = f"{left.body.image.repository}@{left.body.image.digest}"
        wrong.append(
            f"`{text}` cannot run: the engine does not have the image of {left.body.version}, {image}"
        )
    if any(HEAD in part for part in command):
        wrong.append(
            f"`{text}` names no migration: the target has none that stays. Set migrations.base to what "
            f'the command calls that, as "base" for Alembic or "zero" for Django; {word}'
        )
    return wrong


def _repeats(command: tuple[str, ...], earlier: Earlier | None) -> list[str]:
    if earlier is None:
        return []
    text = " ".join(command)
    words = f"--down done goes back without running `{text}`, --down again runs it once more"
    return [f"{earlier}. Look at the data: {words}"]


def _made(
    live: LiveEnvironment,
    settings: Migrations,
    command: tuple[str, ...],
    left: Record[Release],
    event: Event,
    found: Crossing,
    secrets: Mapping[str, Redacted],
) -> Down:
    body, spec = left.body, event.deployment.run_spec
    identity = Identity(
        deployment="",
        version=body.version,
        commit=body.source.commit,
        digest=Digest(body.image.digest),
        record=left.id,
    )
    serving = container_spec(live.place, identity, spec, image=live.target.id_of(body.image), secrets=secrets)
    return Down(
        container=replace(
            serving,
            name=None,
            command=command,
            entrypoint=settings.entrypoint,
            labels={},
            aliases=(),
            publish=(),
            restart="no",
        ),
        identity=identity,
        repository=body.image.repository,
        undoing=Undoing(migrations=found.undone, command=command, version=body.version, status="planned"),
        secrets=secrets,
        timeout=settings.timeout,
    )


def notes(
    live: LiveEnvironment, found: Crossing | None, allowed: Allowance, earlier: Earlier | None
) -> tuple[str, ...]:
    """Return what the plan has to say beside the command."""
    settings = live.workspace.service.migrations
    said = [str(earlier)] if earlier is not None else []
    if (
        allowed.down == "done"
        and found is not None
        and found.undone
        and settings is not None
        and settings.down
    ):
        command = " ".join(found.command(settings.down, settings.base))
        said.append(
            f"`{command}` does not run: --down done says that the data is as the older release needs it"
        )
    return tuple(said)


# --- at work


def run(live: LiveEnvironment, what: Down, deployment: str, means: RolloutContext) -> None:
    """Run it to its end, and tell what it wrote; its container stays. Raises DeploymentFailed."""
    attempted = (
        f"undo migrations with `{' '.join(what.undoing.command)}` in the image of {what.identity.version}"
    )
    with step(means.emit, "down") as say:
        container = _begun(live, _named(live, what, deployment), attempted, means)
        try:
            status = live.engine.wait(container, timeout=what.timeout, cancellation=means.cancellation)
        except (TimeoutError, ReleaseError) as error:
            found = error.found if isinstance(error, ReleaseError) else f"not done after {what.timeout} ms"
            raise _failed(attempted, f"{found}{_halted(live, container)}", ()) from error
        lines = _written(live, container, means)
        for line in lines:
            means.emit(Progress(name="down", text=line))
        if status != 0:
            raise _failed(attempted, f"exit status {status}", lines)
        say(" ".join(what.undoing.command))


def _named(live: LiveEnvironment, what: Down, deployment: str) -> ContainerSpec:
    identity = replace(what.identity, deployment=deployment)
    return replace(
        what.container,
        name=f"{live.place.fresh(deployment)}-down",
        labels=live.place.labels(ROLE) | identity.labels(),
    )


def _begun(live: LiveEnvironment, spec: ContainerSpec, attempted: str, means: RolloutContext) -> str:
    """The container, which runs. Where it never did, the error is the engine's, and no data was touched."""
    try:
        container = live.engine.create(spec)
        means.cancellation.check()
        live.engine.start(container)
    except ReleaseError as error:
        found, hint = means.mask(error.found), means.mask(error.hint)
        raise DeploymentFailed(attempted, f"{found}; nothing was touched", hint) from error
    return container


def _halted(live: LiveEnvironment, container: str) -> str:
    """Stop it; what has to be said where that does not work."""
    try:
        live.engine.stop(container, grace=0)
    except EngineError as error:
        return f", and it may still run ({error.attempted}: {error.found})"
    return ""


def _written(live: LiveEnvironment, container: str, means: RolloutContext) -> tuple[str, ...]:
    """Its last lines, secrets taken out; it is done, whether or not they can be read."""
    try:
        return means.mask.lines(live.engine.logs(container, lines=_LINES))
    except EngineError as error:
        return (f"cannot {error.attempted}: {error.found}",)


def _failed(attempted: str, found: str, lines: tuple[str, ...]) -> DeploymentFailed:
    return DeploymentFailed(
        attempted,
        f"{found}; what runs was not touched",
        "look at the data: a part of it may be done; mend that, then roll back with --down again to run this "
        "once more, or with --down done",
        lines[-20:],
    )


# --- afterwards


def fact(undoing: Undoing) -> str:
    """Return what happened to the data, for people."""
    count, text = len(undoing.migrations), " ".join(undoing.command)
    noun = "1 migration" if count == 1 else f"{count} migrations"
    names = ", ".join(undoing.migrations)
    if not undoing.migrations:
        return f"migrations of {undoing.version} {'undone' if undoing.status == 'done' else 'perhaps undone'}"
    if undoing.status == "done":
        return f"{noun} of {undoing.version} undone by `{text}` ({names})"
    return f"{noun} of {undoing.version} perhaps undone, or a part of them, by `{text}` ({names})"


def remedy(undoing: Undoing) -> str:
    """Return what to do where the older release does not run after all."""
    return (
        f"the data may be older than {undoing.version}: apply its migrations again with that release, or go "
        "on with --down done"
    )


@contextmanager
def told_first(undoing: Undoing) -> Iterator[None]:
    """Return what fails in the block fails on data that was changed already: the error says that first."""
    try:
        yield
    except ReleaseError as error:
        raise preceded(error, undoing.model_copy(update={"status": "done"})) from error


def preceded(error: E, undoing: Undoing) -> E:
    """The same error, with the fact before what was found, and the remedy before the hint."""
    told = type(error).__new__(type(error), *error.args)
    vars(told).update(vars(error))
    told.found = f"{fact(undoing)}; then: {error.found}"
    told.hint = "; ".join(filter(None, (remedy(undoing), error.hint)))
    return told


def left(live: LiveEnvironment) -> tuple[ContainerState, ...]:
    """Containers of such commands: one that is at work, or whose deployment has no end in the ledger."""
    return found(live)[0]


def found(live: LiveEnvironment) -> tuple[tuple[ContainerState, ...], tuple[ContainerState, ...]]:
    """Return the containers of such commands, and others with their labels: those are left alone."""
    if live.settings.engine != "docker":
        return (), ()
    labelled = tuple(live.engine.containers(live.place.labels(ROLE)))
    mine = tuple(each for each in labelled if each.name == _name(live, each) and runs_release(live, each))
    return mine, tuple(each for each in labelled if each not in mine)


def _name(live: LiveEnvironment, container: ContainerState) -> str:
    """The name that the deployment in its labels gives the container of its command."""
    return f"{live.place.fresh(container.labels.get(DEPLOYMENT, ''))}-down"


def at_work(there: tuple[ContainerState, ...]) -> list[Problem]:
    """Nobody deploys while one of them changes the data."""
    busy = [container for container in there if container.status not in _IDLE]
    return [Problem(path=_PATH, message=_at_work(container)) for container in busy]


def _at_work(container: ContainerState) -> str:
    name = container.name
    then = f"`docker wait {name}`, then `docker logs {name}`; `docker stop {name}` ends it in the middle"
    return f"{describe([container])} is still undoing migrations: {then}"


def outcome(
    there: tuple[ContainerState, ...], deployment: str, planned: Undoing | None, *, locked: bool
) -> Undoing | None:
    """What came of a command that a deployment planned, told by its container; None where it never began.

    While the deployment's lock stands, a container that is not there never was. Later nobody knows.
    """
    if planned is None:
        return None
    mine = [container for container in there if container.labels.get(DEPLOYMENT) == deployment]
    if not mine:
        return None if locked else _as(planned, "uncertain")
    container = mine[-1]
    if container.status == "created":
        return None
    done = container.status == "exited" and container.exit_code == 0
    return _as(planned, "done" if done else "uncertain", ran=container.argv)


def _as(planned: Undoing, status: Literal["done", "uncertain"], *, ran: tuple[str, ...] = ()) -> Undoing:
    return planned.model_copy(update={"status": status, "ran": ran or None})


def came_of(live: LiveEnvironment, deployment: str, planned: Undoing | None) -> Undoing | None:
    """Return what came of our own: the lock is ours. An engine that does not answer leaves it uncertain."""
    if planned is None:
        return None
    try:
        return outcome(left(live), deployment, planned, locked=True)
    except EngineError:
        return _as(planned, "uncertain")


def earlier(
    live: LiveEnvironment,
    there: tuple[ContainerState, ...],
    unfinished: Unfinished | None,
    *,
    locked: bool,
    own: str = "",
) -> Earlier | None:
    """Return who undid migrations here since something was last verified healthy, if anybody did.

    Args:
        site: the environment.
        there: the containers of such commands.
        unfinished: what was begun and never ended.
        locked: whether its lock still stands.
        own: the deployment that asks.
    """
    passed = {own}
    if unfinished is not None and not unfinished.doubts:
        mine = unfinished.started
        undoing = outcome(there, mine.deployment, mine.down, locked=locked)
        if undoing is not None:
            return Earlier(attempt=str(unfinished), undoing=undoing)
        passed.add(mine.deployment)
    return _recorded(live, there, passed) or _unheard_of(live, there, passed)


def _recorded(
    live: LiveEnvironment, there: tuple[ContainerState, ...], passed: Iterable[str]
) -> Earlier | None:
    """The latest that the ledger knows, before which nothing was healthy."""
    done = set(passed)
    for event in query.deployments(live.workspace.ledger, live.place.service, live.place.environment):
        told = event.deployment
        if told.status == "healthy":
            return None
        if told.deployment not in done and (undoing := _undoing(there, told)) is not None:
            return Earlier(attempt=_attempt(event), undoing=undoing)
        done.add(told.deployment)
    return None


def _undoing(there: tuple[ContainerState, ...], told: Deployment) -> Undoing | None:
    """As its end says; of one without an end, as its container says."""
    if told.status != "started":
        return told.down
    return outcome(there, told.deployment, told.down, locked=False)


def _unheard_of(
    live: LiveEnvironment, there: tuple[ContainerState, ...], passed: Iterable[str]
) -> Earlier | None:
    """One of another clone, whose events wait there: only its container tells of it."""
    for container in there:
        name, ledger = container.labels.get(DEPLOYMENT, ""), live.workspace.ledger
        unsaid = Undoing(
            migrations=(), command=(), version=container.labels.get(VERSION, ""), status="planned"
        )
        undoing = outcome((container,), name, unsaid, locked=True)
        if (
            name not in passed
            and undoing is not None
            and not any(events_of(ledger, live.place.service, name))
        ):
            return Earlier(
                attempt=f"the deployment {name}, of which this ledger has no event", undoing=undoing
            )
    return None


def earlier_of(
    live: LiveEnvironment, there: tuple[ContainerState, ...], observation: Observation, own: str = ""
) -> Earlier | None:
    """The same, as somebody has just seen it who wants to deploy."""
    return earlier(live, there, observation.unfinished, locked=observation.holder is not None, own=own)


def _attempt(event: Event) -> str:
    what = "rollback" if event.deployment.reason == "rollback" else "deployment"
    return f"the {what} {event.deployment.deployment} by {event.actor.name}, {event.recorded_at[:19]}Z"


def tidy(live: LiveEnvironment, deployment: str | None = None) -> None:
    """Remove the containers that ended, of this deployment or of all: the ledger knows what they know."""
    try:
        for container in left(live):
            if container.status in _IDLE and deployment in (None, container.labels.get(DEPLOYMENT)):
                live.engine.remove(container.id)
    except EngineError as error:
        live.workspace.emit(
            Warned(text=f"a container that undid migrations stays: {error.attempted}: {error.found}")
        )
