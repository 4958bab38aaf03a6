"""The running object that an environment stands for, among all objects of the target that are not ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from release.deploy.core.adoption import Candidate
from release.deploy.environment.environment import LiveEnvironment
from release.errors import UsageError
from release.reference import Reference

_LISTED: Final = 20


def choose_candidate(live: LiveEnvironment, name: str | None) -> Candidate:
    """Return the object of this name; without a name the only one that fits the configuration.

    The first rule with one or more matches decides: the name of the environment's own container, a port that
    the environment publishes, the service's repository.

    Raises UsageError: none or several fit.
    """
    every = live.target.adoptions.candidates()
    kind, attempted = live.target.adoptions.kind, f"adopt what runs as {live.place}"
    if name is not None:
        found = [each for each in every if name in (each.name, each.id)]
        return _only(
            found, every, attempted, f"no running {kind} is called {name!r}, or a deployment made it"
        )
    for rule in _rules(live):
        if found := [each for each in every if rule(each)]:
            return _only(found, every, attempted, "")
    return _only(
        [], every, attempted, f"no running {kind} has the name, a port or the image of the configuration"
    )


def _rules(live: LiveEnvironment) -> tuple[Callable[[Candidate], bool], ...]:
    ports = {port.host for settings in live.settings.every.values() for port in settings.publish}
    repository = str(live.workspace.service.repository)
    return (
        lambda each: each.name == live.place.container,
        lambda each: bool(each.ports & ports),
        lambda each: _repository(each.image) == repository,
    )


def _repository(image: str) -> str:
    try:
        return str(Reference.parse(image).repository)
    except ValueError:
        return ""


def _only(found: Sequence[Candidate], every: Sequence[Candidate], attempted: str, none: str) -> Candidate:
    if len(found) == 1:
        return found[0]
    shown = found or every
    lines = "".join(f"\n  {each}" for each in shown[:_LISTED])
    more = f"\n  and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    if found:
        raise UsageError(
            attempted, f"{len(found)} objects fit:{lines}{more}", "choose one of them: --name NAME"
        )
    running = f"; these run:{lines}{more}" if every else "; nothing else runs there"
    raise UsageError(
        attempted,
        f"{none}{running}",
        "choose one of them: --name NAME" if every else "start the object first, then adopt it",
    )
