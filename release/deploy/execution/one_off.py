"""Commands of an operator: in a container of their own, or beside what runs, with the operator's terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from release.deploy.core.operations import RUN, Attachment, CommandRequest, OperationContext
from release.deploy.core.place import Identity
from release.deploy.execution.operate import Done, Subject
from release.deploy.planning.settings import fingerprints, pinned_problems, read_secrets, seal_key
from release.errors import NotReady, ReleaseError
from release.events import Notice, Warned
from release.programs.interactive import hand_over
from release.reference import Digest
from release.runspec import RunSpec
from release.secrets.detection import secret_suspicion
from release.secrets.redact import Mask, Redacted
from release.values import Struct

_HIDDEN: Final = "***"
_PAIR: Final = re.compile(r"(-{0,2}[A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_OPTION: Final = re.compile(r"-{1,2}[A-Za-z][\w-]*")


def recorded_words(command: Sequence[str], mask: Mask) -> tuple[str, ...]:
    """Return a command for the record: arguments that look like secrets become `***`."""
    words: list[str] = []
    option = ""
    for word in command:
        pair = _PAIR.fullmatch(word)
        if pair is not None and secret_suspicion(pair[1], pair[2]) is not None:
            words.append(f"{pair[1]}={_HIDDEN}")
        elif secret_suspicion(option, word) is not None:
            words.append(_HIDDEN)
        else:
            words.append(mask(word))
        option = word if _OPTION.fullmatch(word) else ""
    return tuple(words)


def secrets_of(found: Subject) -> dict[str, Redacted]:
    """Read the secrets of the running release from today's sources. Raises NotReady if one cannot be read."""
    live, spec = found.live, found.event.deployment.run_spec
    values, problems = read_secrets(live, spec)
    problems = [*problems, *pinned_problems(live, spec.secrets, fingerprints(live, values))]
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise NotReady(
            found.attempted, f"nothing was started{lines}", "correct this, and run the command again"
        )
    return values


class OneOffRequest(Struct, frozen=True, kw_only=True):
    """Request of an operator to run a command."""

    found: Subject
    command: tuple[str, ...]
    timeout: int
    """Milliseconds."""
    has_terminal: bool
    secrets: Mapping[str, Redacted] = {}
    """Values of secrets for the command's container."""
    say: Callable[[str], None] = lambda _: None
    """Shows a line of its output: see `Attachment`."""


def run(asked: OneOffRequest, name: str, context: OperationContext) -> Done:
    """Run the command in a new container with the release's settings and secrets; return its exit status.

    Raises EngineError, Cancelled, ReleaseError: it did not run to its end. Its container is removed.
    """
    operations = asked.found.live.target.operations
    container = operations.begin(_request(asked, name, context.spec), context.emit)
    try:
        with _in_time(asked, context, "and was stopped"):
            status = operations.attach(container, _attachment(asked, context))
    except BaseException:
        operations.end(container, grace=context.spec.stop_grace)
        raise
    ended = operations.end(container, grace=context.spec.stop_grace)
    status = status if ended is None else ended
    return Done(detail=f"exit status {status}", exit_status=status)


def _request(asked: OneOffRequest, name: str, spec: RunSpec) -> CommandRequest:
    found, live, body = asked.found, asked.found.live, asked.found.release.body
    place = live.place.at(found.process or "")
    settings = spec.every[place.process]
    return CommandRequest(
        name=f"{place.container}-{RUN}-{name}",
        place=place,
        role=RUN,
        identity=Identity(
            deployment=found.event.deployment.deployment,
            version=body.version,
            commit=body.source.commit,
            digest=Digest(body.image.digest),
            record=found.release.id,
        ),
        image=body.image,
        command=asked.command,
        entrypoint=live.settings.entrypoint,
        spec=settings.with_secrets(fingerprints(live, asked.secrets)),
        secrets=asked.secrets,
        timeout=asked.timeout,
        key=seal_key(live, asked.secrets),
        has_terminal=asked.has_terminal,
    )


def execute(asked: OneOffRequest, context: OperationContext) -> Done:
    """Run the command in a serving container; return its exit status."""
    instance, *others = asked.found.instances
    if others:
        context.emit(Notice(text=f"the command runs in {instance.name}, the first of {len(others) + 1}"))
    operations = asked.found.live.target.operations
    program = operations.execution(instance, asked.command, has_terminal=asked.has_terminal)
    with _in_time(asked, context, f"and may still run in {instance.name}"):
        status = hand_over(program, timeout=asked.timeout / 1000, cancellation=context.cancellation)
    return Done(detail=f"exit status {status} in {instance.name}", exit_status=status)


def _attachment(asked: OneOffRequest, context: OperationContext) -> Attachment:
    return Attachment(say=asked.say, timeout=asked.timeout, cancellation=context.cancellation)


@contextmanager
def _in_time(asked: OneOffRequest, context: OperationContext, left: str) -> Iterator[None]:
    """Raise ReleaseError if the command took too long, saying what became of it."""
    try:
        yield
    except TimeoutError as error:
        words = " ".join(recorded_words(asked.command, context.mask))
        found = f"`{words}`: {error}, {left}"
        raise ReleaseError(asked.found.attempted, found, "use --timeout 4h") from error


def remove_leftovers(found: Subject) -> None:
    """Remove containers of ended commands whose operator is gone; warn of running ones."""
    live = found.live
    for left in live.target.operations.one_offs():
        if left.status == "running":
            hint = live.target.operations.advice(left.name)
            text = f"{left.name} still runs a command of an operator who is gone: {hint}"
            live.workspace.emit(Warned(text=text))
        else:
            live.target.operations.end(left.id, grace=0)
