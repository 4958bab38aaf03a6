"""A deployment or a rollback from a request to a plan. Nothing is touched.

Everything is found out, and everything that can fail is checked. `prepare` returns a frozen value that can be
shown; `release.deploy.execution.deploy.carry_out` does what was shown.
"""

from __future__ import annotations

from typing import Final

from release.deploy.core.image_location import ImageLocation
from release.deploy.core.instance import InstanceSet
from release.deploy.environment import identify
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.environment.observe import Observation
from release.deploy.environment.recorded_settings import recorded_settings_drift
from release.deploy.planning import policy
from release.deploy.planning.current import current_state
from release.deploy.planning.data_command import AnyDataCommand, DataCommand
from release.deploy.planning.findings import Findings, find_out, refuse_problems
from release.deploy.planning.make_plan import Parts, PastRuns, TargetFacts, make_plan
from release.deploy.planning.plan import Plan, Reason
from release.deploy.planning.policy import NOTHING, Aftermath, Allowance
from release.deploy.planning.process_steps import process_steps
from release.deploy.planning.release_changes import commit_changes
from release.deploy.planning.request import Request
from release.ledger import query
from release.ledger.query import Event
from release.records import Record, Release, Undoing, Upgrade
from release.runspec import RunSpec
from release.secrets.redact import Mask, Redacted
from release.values import Struct, replace

_DURATIONS: Final = 20
"""Number of earlier deployments for the expected time."""


class Prepared(Struct, frozen=True, kw_only=True):
    """Findings and plan of a request, before anything is changed."""

    live: LiveEnvironment
    plan: Plan
    found: Findings
    aftermath: Aftermath
    """Records that are written with a healthy end."""
    answers: bool
    """True: the ledger's remote answered a moment ago."""

    @property
    def request(self) -> Request:
        """Return the operator's request."""
        return self.found.request

    @property
    def observation(self) -> Observation:
        """Return the state that the plan is based on."""
        return self.found.observation

    @property
    def bytes(self) -> ImageLocation:
        """Return the source of the image."""
        return self.found.image.bytes

    @property
    def down(self) -> DataCommand[Undoing] | None:
        """Return the command that undoes migrations before the rollout."""
        return self.found.migrations.down

    @property
    def up(self) -> DataCommand[Upgrade] | None:
        """Return the command that migrates the data forward."""
        return self.found.migrations.up

    @property
    def data_commands(self) -> tuple[AnyDataCommand, ...]:
        """Return the commands on the data, in their order."""
        return tuple(command for command in (self.down, self.up) if command is not None)

    @property
    def target(self) -> Record[Release]:
        """Return the release to run."""
        return self.request.target

    @property
    def spec(self) -> RunSpec:
        """Return the settings of the release to run."""
        return self.found.settings.spec

    @property
    def attempted(self) -> str:
        """Return the attempted action, for errors."""
        return self.request.attempted(self.live.place)

    @property
    def containers(self) -> InstanceSet:
        """Return the containers that the plan is based on."""
        return self.observation.ours

    @property
    def event(self) -> Event | None:
        """Return the healthy deployment that runs, if the ledger has it."""
        return self.observation.event

    @property
    def previous(self) -> Event | None:
        """Return the deployment that should run, by the ledger."""
        return self.observation.previous

    @property
    def mask(self) -> Mask:
        """Return the filter that masks secrets in text."""
        return Mask(self.hidden)

    @property
    def hidden(self) -> tuple[Redacted, ...]:
        """Return every secret of the request."""
        of_commands = (value for command in self.data_commands for value in command.request.secrets.values())
        return (*self.found.settings.secrets.values(), *of_commands)


def prepare(
    live: LiveEnvironment,
    target: Record[Release],
    why: Reason,
    *,
    answers: bool = True,
    ran: Event | None = None,
    allowed: Allowance = NOTHING,
    observation: Observation | None = None,
) -> Prepared:
    """Find out everything, check what can fail, and return the plan.

    Args:
        live: the environment.
        target: the release that is to run there.
        why: with today's settings (promote), or with those it ran with (rollback).
        answers: whether the ledger's remote answers; if not, events are kept here.
        ran: the healthy deployment whose settings a rollback restores; absent: the release's last one.
        allowed: exceptions of the command line; the plan names those that were needed.
        observation: the current state, if it was read just now.

    Raises:
        TargetUnavailable: quarantined, no settings to restore, or the image's bytes are nowhere.
        NotReady: frozen; secrets, ports, networks or volumes; with everything else that was found.
        LockHeld: another deployment is under way.
        EngineError: the engine does not answer, or not well.
        LedgerUnproven: a commit of the ledger breaks its rules; a rollback goes by the verified head.
    """
    if live.workspace.ledger.unproven is not None and why == "promote":
        raise live.workspace.ledger.unproven
    request = Request(target=target, reason=why, allowed=allowed, ran=ran)
    found = find_out(live, request, observation)
    refuse_problems(live, found)
    freeze = live.settings.freeze_after_rollback
    after = policy.aftermath(live.place, why, target, found.observation.left, found.policy, freeze=freeze)
    plan = make_plan(_parts(live, found, then=after.sentences()))
    return Prepared(live=live, plan=plan, found=found, aftermath=after, answers=answers)


def _parts(live: LiveEnvironment, found: Findings, *, then: tuple[str, ...]) -> Parts:
    current, facts = current_state(live, found.observation), _target_facts(live, found)
    if current.is_as_asked(found.request.target, found.settings.spec, facts.image):
        drift = recorded_settings_drift(live, found.observation.ours, current.event)
        current = replace(current, drift=drift)
    return Parts(
        place=live.place,
        found=found,
        target=facts,
        current=current,
        commits=commit_changes(live, found.observation.left, found.request.target),
        past=PastRuns(durations=live.durations(_DURATIONS), drill=_last_drill(live)),
        then=then,
        steps=process_steps(live.settings, current, found.settings.spec),
    )


def _target_facts(live: LiveEnvironment, found: Findings) -> TargetFacts:
    strategy = live.target.rollouts.strategy(found.settings.spec)
    return TargetFacts(
        engine=live.target.name,
        strategy=strategy,
        way=live.target.rollouts.describe(strategy),
        image=live.target.images.id_of(found.request.target.body.image),
        notes=(
            *live.target.rollouts.cautions(),
            *identify.stranger_notices(live, found.observation.ours.strangers),
            *_maintenance(live),
            *_hooks(live, found.request.reason),
        ),
    )


def _hooks(live: LiveEnvironment, why: Reason) -> tuple[str, ...]:
    """Return the plan's note on hooks, which are those of today's configuration."""
    what = "rollback" if why == "rollback" else "deploy"
    moments = {f"before_{what}": "before", f"after_{what}": "after", "failure": "on failure"}
    here = live.place.environment
    every = live.workspace.service.hooks.items()
    mine = {name: hook for name, hook in every if not hook.environments or here in hook.environments}
    found = [
        f"{words} {', '.join(names)}"
        for moment, words in moments.items()
        if (names := [name for name, hook in mine.items() if moment in hook.on])
    ]
    return (f"hooks that run: {'; '.join(found)}",) if found else ()


def _maintenance(live: LiveEnvironment) -> tuple[str, ...]:
    """Return the plan's note on an environment that is stopped: the deployment starts it."""
    paused = query.maintenance_stop(live.workspace.ledger, live.place.service, live.place.environment)
    return (f"{live.place.environment} is {paused}; this starts it again",) if paused is not None else ()


def _last_drill(live: LiveEnvironment) -> str:
    """Return the last successful drill as text, such as "2.1 s on 2026-11-20"; else empty."""
    last = query.last_drill(live.workspace.ledger, live.place.service, live.place.environment)
    if last is None:
        return ""
    return f"{last.verification.duration_ms / 1000:.1f} s on {last.recorded_at[:10]}"
