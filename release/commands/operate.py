"""`invoke run`, `exec`, `restart`, `stop` and `start`: operate the running release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from release.commands.command_line import (
    CommandContext,
    parse_wait_seconds,
    require_confirmation,
    words_after_dashes,
)
from release.console import has_terminal
from release.deploy.core import lock
from release.deploy.core.operations import OperationContext
from release.deploy.core.place import describe
from release.deploy.environment.environment import LiveEnvironment
from release.deploy.execution import one_off, operate
from release.deploy.execution.operate import VERBS, Done, Request, Subject, What, Work
from release.errors import UsageError
from release.scalars import parse_duration
from release.secrets.redact import Mask, Redacted

_EXAMPLE: Final = 'invoke {what} --message "WHY" -- python -m app.check'
_STANDARD: Final = 3_600_000
"""Time limit of a restart, a stop or a start with health checks, in milliseconds."""


def run(cmd: CommandContext) -> int:
    """Run a command in a new container of the running release, and return the command's exit code."""
    command, timeout, terminal = _command_words("run"), _parse_timeout(cmd), has_terminal()
    with _open_running_release(cmd, "run") as found:
        secrets = one_off.secrets_of(found)
        cmd.console.mask_values(secrets.values())

        def work(name: str, context: OperationContext) -> Done:
            one_off.remove_leftovers(found)
            asked = one_off.OneOffRequest(
                found=found,
                command=command,
                timeout=timeout,
                has_terminal=terminal,
                secrets=secrets,
                say=cmd.console.print_result,
            )
            return one_off.run(asked, name, context)

        return _run_and_return_status(cmd, found, command, work, timeout, tuple(secrets.values()))


def exec(cmd: CommandContext) -> int:  # noqa: A001 - the command's name
    """Run a command in a serving container, and return the command's exit code."""
    command, timeout, terminal = _command_words("exec"), _parse_timeout(cmd), has_terminal()
    with _open_running_release(cmd, "exec") as found:

        def work(_: str, context: OperationContext) -> Done:
            asked = one_off.OneOffRequest(
                found=found, command=command, timeout=timeout, has_terminal=terminal
            )
            return one_off.execute(asked, context)

        return _run_and_return_status(cmd, found, command, work, timeout, ())


def restart(cmd: CommandContext) -> int:
    """Restart the serving containers, one after the other, and return the exit code."""
    with _open_running_release(cmd, "restart") as found:
        operations = found.live.target.operations
        return _confirm_and_operate(
            cmd, found, lambda _, context: Done(detail=operations.restart(found.instances, context))
        )


def stop(cmd: CommandContext) -> int:
    """Stop the serving containers, the last process first, and return the exit code."""
    with _open_running_release(cmd, "stop") as found:
        operations, last_first = found.live.target.operations, found.instances[::-1]
        return _confirm_and_operate(
            cmd, found, lambda _, context: Done(detail=operations.stop(last_first, context))
        )


def start(cmd: CommandContext) -> int:
    """Start stopped containers, verify them, and return the exit code."""
    with _open_running_release(cmd, "start") as found:
        operations = found.live.target.operations
        return _confirm_and_operate(
            cmd, found, lambda _, context: Done(detail=operations.start(found.instances, context))
        )


def _command_words(what: What) -> tuple[str, ...]:
    words = words_after_dashes()
    if not words:
        raise UsageError(what, "the command is missing", f"write it after --: {_EXAMPLE.format(what=what)}")
    return words


def _parse_timeout(cmd: CommandContext) -> int:
    text = cmd.options.timeout
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"stop the command after {text!r}", str(error), "use --timeout 2h") from error
    assert isinstance(found, int)  # noqa: S101 - what `parse_duration` makes of text
    return found


@contextmanager
def _open_running_release(cmd: CommandContext, what: What) -> Iterator[Subject]:
    """Yield the running release once the lock is free. Raise UsageError if a reason is missing."""
    options = cmd.options
    if not options.message and what != "start":
        raise UsageError(what, "the record needs a reason", "add --message WHY")
    with cmd.open_workspace() as workspace, workspace.live(options.environment) as live:
        _wait_for_lock(cmd, live, what)
        answers = workspace.refresh()
        yield operate.find(live, what, options.process, answers=answers)


def _wait_for_lock(cmd: CommandContext, live: LiveEnvironment, what: What) -> None:
    seconds, store = parse_wait_seconds(cmd.options), live.target.lock_store()
    if not cmd.options.break_lock and lock.current_holder(store, live.place) is not None:
        lock.await_free(
            store,
            live.place,
            seconds=seconds,
            emit=cmd.console.emit,
            check=cmd.interruption.cancellation.check,
            task=VERBS[what],
        )


def _operation_request(
    cmd: CommandContext,
    found: Subject,
    longest: int,
    command: tuple[str, ...] | None = None,
    secrets: tuple[Redacted, ...] = (),
) -> Request:
    mask, live = Mask(secrets), found.live
    breaks = lock.find(live.target.lock_store(), live.place) if cmd.options.break_lock else None
    return Request(
        found=found,
        message=cmd.options.message,
        longest=longest,
        command=one_off.recorded_words(command, mask) if command is not None else None,
        breaks=breaks,
        mask=mask,
    )


def _run_and_return_status(
    cmd: CommandContext,
    found: Subject,
    command: tuple[str, ...],
    work: Work,
    timeout: int,
    secrets: tuple[Redacted, ...],
) -> int:
    """Run the command, whose output goes to standard output, and return its exit code."""
    ended = operate.carry_out(
        _operation_request(cmd, found, timeout, command, secrets), work, cmd.interruption
    )
    return ended.exit_status or 0


def _confirm_and_operate(cmd: CommandContext, found: Subject, work: Work) -> int:
    """Ask, carry out the operation, and print its result."""
    title, release = found.attempted, found.release.body.version
    rows = [("release", release), ("containers", "\n".join(describe([each]) for each in found.instances))]
    cmd.console.print_fields(title, rows)
    if found.what != "start":
        require_confirmation(cmd, title)
    ended = operate.carry_out(_operation_request(cmd, found, _STANDARD), work, cmd.interruption)
    if cmd.options.json:
        cmd.console.print_json(ended.record)
    else:
        cmd.console.print_result(f"{found.live.place} {release} {_PAST[found.what]}: {ended.detail}")
    return 0


_PAST: Final[dict[What, str]] = {"restart": "restarted", "stop": "stopped", "start": "started"}
