"""Tasks of invoke: `namespace()` returns the operator's tasks.

Nothing heavy is imported before a task runs, so that `invoke -l` stays fast. Standard output carries the
result only; the exit statuses are listed in `release.errors`, and a signal gives 128 and its number.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from invoke import program
from invoke.collection import Collection
from invoke.completion.complete import complete
from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.parser import parser
from invoke.tasks import Task, task

from release.commands.options import COMMANDS, Command, CommandOptions
from release.garbage_collection import pause_collection

if TYPE_CHECKING:
    from invoke.parser.context import ParserContext

    from release.console import Console
    from release.programs.interruption import Interruption


def explain(_context: Context, *, topic: str | None = None) -> None:
    """Show a page of the documentation, or list the pages."""

    def body(console: Console, _: Interruption) -> int:
        from release.text.help_pages import explain as show_page

        show_page(topic, console)
        return 0

    _ended(guarded(body))


def _explain() -> Task[Callable[..., None]]:
    """Return the task: a new one each time, because invoke takes the help out of a task that it has read."""
    made = task(
        positional=() if sys.argv[-1] == "explain" else ("topic",),  # invoke has no argument to leave out
        help={"topic": "name of a page, as `invoke explain` lists them"},
    )
    return made(explain)  # type: ignore[no-any-return]  # invoke types the decorator as Any


def namespace() -> Collection:
    """Return the tasks for a service's tasks.py: `ns = release.namespace()`."""
    # invoke ends with status 1 for a wrong command line; here 1 means that something was tried and failed.
    vars(parser)["ParseError"] = WrongCommandLine
    vars(program)["complete"] = _complete
    return Collection(*(_task(name, command) for name, command in COMMANDS.items()), _explain())


def _complete(names: list[str], core: Any, **others: Any) -> Exit:
    """Print completion values: from the ledger for some options, else those of invoke."""
    from release.commands.completion import completion_values, option_to_complete

    if option_to_complete(core.remainder) is None:
        return complete(names, core, **others)

    def body(console: Console, _: Interruption) -> int:
        for value in completion_values(core.remainder, Path.cwd()):
            console.print_result(value)
        return 0

    raise Exit(code=guarded(body))


def first_steps() -> Collection:
    """Return the tasks of `python -m release`, which need no tasks.py."""
    vars(parser)["ParseError"] = WrongCommandLine
    return Collection(*(_task(name, COMMANDS[name]) for name in ("init", "doctor")), _explain())


def _task(name: str, command: Command) -> Task[Callable[..., None]]:
    """Return the task of a command. invoke reads its options from the signature."""
    options = {option.name: option for option in command.options()}

    def body(_context: Context, **given: Any) -> None:
        _run(name, {options[key].field: value for key, value in given.items()})

    parameters = [Parameter("_context", Parameter.POSITIONAL_OR_KEYWORD)]
    for key, option in options.items():
        default = Parameter.empty if key in command.positional else option.default
        parameters.append(Parameter(key, Parameter.KEYWORD_ONLY, default=default))
    body.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    body.__name__, body.__doc__ = name, command.line
    return Task(body, help={key: option.help for key, option in options.items()})


class WrongCommandLine(ParseError, Exit):
    """Error of invoke for an invalid command line, with exit code 2."""

    def __init__(self, msg: str, context: ParserContext | None = None) -> None:
        """Set an empty message for `Exit`, because invoke prints both messages."""
        Exception.__init__(self, msg)
        self.context = context
        self.message = None
        self._code = 2


def _run(command: str, given: dict[str, Any]) -> None:
    """Run one command, guarded."""

    def body(console: Console, interruption: Interruption) -> int:
        with pause_collection("release.commands.command_line"):
            from release.commands import load_task_function
            from release.commands.command_line import CommandContext

            act = load_task_function(command)
        options = CommandOptions(**given)
        return act(CommandContext(options=options, console=console, interruption=interruption))

    _ended(guarded(body))


def _ended(status: int) -> None:
    """End the task. Raise Exit if its status is not 0."""
    if status:
        raise Exit(code=status)


def guarded(body: Callable[[Console, Interruption], int]) -> int:
    """Run a function, render its error once, and return the exit code."""
    with pause_collection("release.console"):
        from release.console import Console
        from release.library_logging import silence
        from release.programs.interruption import Interrupted, Interruption

    silence()
    with Console() as console:
        interruption = Interruption(at_once=lambda: console.print_last_text(_LEFT))
        try:
            with interruption.listening():
                return body(console, interruption)
        except Interrupted:
            return _interrupted(console, interruption)
        except Exception as error:  # noqa: BLE001 - the one place that ends every command
            return _failed(error, console, interruption)


_LEFT: Final = (
    "stopped at once by a second signal: `invoke status` shows what is half done, `invoke "
    "converge` finishes or reverts it"
)


def _interrupted(console: Console, interruption: Interruption) -> int:
    from release.events import Warned

    name = interruption.arrived.name if interruption.arrived is not None else "a signal"
    done = "the command had finished; its result stays" if interruption.too_late else "nothing was changed"
    console.emit(Warned(text=f"{name} arrived: {done}"))
    return _signal_status(interruption)


def _failed(error: Exception, console: Console, interruption: Interruption) -> int:
    """Print the error and return its exit code, or a signal's if nothing was left behind."""
    from release.errors import MixedState, ReleaseError

    if not isinstance(error, ReleaseError):
        console.print_unexpected_error(error)
        return 1
    console.print_error(error)
    if interruption.arrived is not None and not isinstance(error, MixedState):
        return _signal_status(interruption)
    return error.exit_code


def _signal_status(interruption: Interruption) -> int:
    return 128 + (interruption.arrived or 0)
