"""The invoke door: `namespace()` gives the operator's tasks.

Nothing heavy is imported before a task runs, so that `invoke -l` stays fast. Standard output carries the
result only; the exit statuses are listed in `release.errors`, and a signal gives 128 and its number.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.parser import parser
from invoke.tasks import task

from release.garbage import unswept

if TYPE_CHECKING:
    from invoke.parser.context import ParserContext

    from release.console import Console
    from release.interruption import Interruption

_TO: Final = 'version, digest, commit, git tag, deployment id, previous, -2, or a time ("20:00", 2h)'
_COMMON: Final = {
    "service": "which service, where the repository has several",
    "environment": "which environment, where there are several",
    "json": "print the result as JSON",
}
_JSON: Final = {"json": _COMMON["json"]}
_ACTING: Final = {
    **_COMMON,
    "message": "why, for the record",
    "yes": "do it without asking",
    "plan": "show what would be done, and stop",
    "allow_quarantined": "also a release that is set aside; needs a message",
    "cross_migrations": "go back although that leaves migrations behind",
    "down": "of the command that undoes migrations: done (it does not run) or again (though it ran already)",
    "wait": "how many seconds to wait while somebody else deploys",
    "break_lock": "take the lock from whoever holds it; needs a message",
    "rebuild": "an image that is nowhere any more: build it again from its record, and prove it",
    "again": "replace what runs although it runs as asked",
}


@task(
    help={
        "to": f"what to deploy: {_TO}",
        "thaw": "also to an environment that is frozen, and end that; needs a message",
        **_ACTING,
    }
)
def deploy(
    _context: Context,
    *,
    to: str | None = None,
    service: str | None = None,
    environment: str | None = None,
    message: str = "",
    yes: bool = False,
    plan: bool = False,
    allow_quarantined: bool = False,
    cross_migrations: bool = False,
    down: str | None = None,
    wait: str = "0",
    break_lock: bool = False,
    rebuild: bool = False,
    again: bool = False,
    thaw: bool = False,
    json: bool = False,
) -> None:
    """Put a recorded release into an environment, with today's settings."""
    _run(
        "deploy",
        to=to,
        service=service,
        environment=environment,
        message=message,
        yes=yes,
        plan=plan,
        allow_quarantined=allow_quarantined,
        cross_migrations=cross_migrations,
        down=down,
        wait=wait,
        break_lock=break_lock,
        remake=rebuild,
        again=again,
        thaw=thaw,
        json=json,
    )


@task(help={"to": f"what to go back to: {_TO}; absent: what was healthy before", **_ACTING})
def rollback(
    _context: Context,
    *,
    to: str | None = None,
    service: str | None = None,
    environment: str | None = None,
    message: str = "",
    yes: bool = False,
    plan: bool = False,
    allow_quarantined: bool = False,
    cross_migrations: bool = False,
    down: str | None = None,
    wait: str = "0",
    break_lock: bool = False,
    rebuild: bool = False,
    again: bool = False,
    json: bool = False,
) -> None:
    """Put an earlier release back, with the settings it ran with."""
    _run(
        "rollback",
        to=to,
        service=service,
        environment=environment,
        message=message,
        yes=yes,
        plan=plan,
        allow_quarantined=allow_quarantined,
        cross_migrations=cross_migrations,
        down=down,
        wait=wait,
        break_lock=break_lock,
        remake=rebuild,
        again=again,
        json=json,
    )


@task(
    help={
        **_COMMON,
        "environment": "only this one; absent: all",
        "exit_code": "end with 1 where something differs from the ledger",
    }
)
def status(
    _context: Context,
    *,
    service: str | None = None,
    environment: str | None = None,
    exit_code: bool = False,
    json: bool = False,
) -> None:
    """Say what really runs, and how it differs from the ledger."""
    _run("status", service=service, environment=environment, exit_code=exit_code, json=json)


@task(
    help={
        "limit": "how many records, 20 where nothing is said",
        "since": 'only what was recorded since then: 2d, "yesterday 18:00", 2026-11-21',
        **_COMMON,
    }
)
def history(
    _context: Context,
    *,
    service: str | None = None,
    environment: str | None = None,
    limit: str = "20",
    since: str | None = None,
    json: bool = False,
) -> None:
    """List what was released, deployed and rolled back, newest first."""
    _run("history", service=service, environment=environment, limit=limit, since=since, json=json)


@task(help={"target": f"which release: {_TO}", **_COMMON})
def show(
    _context: Context,
    target: str,
    *,
    service: str | None = None,
    environment: str | None = None,
    json: bool = False,
) -> None:
    """Show the record of one release."""
    _run("show", to=target, service=service, environment=environment, json=json)


@task(help={"before": f"one release: {_TO}", "after": "the other", **_COMMON})
def diff(
    _context: Context,
    before: str,
    after: str,
    *,
    service: str | None = None,
    environment: str | None = None,
    json: bool = False,
) -> None:
    """Say what changed from one release to another."""
    _run("diff", to=before, other=after, service=service, environment=environment, json=json)


@task(
    help={
        "target": f"which release: {_TO}",
        "message": "why, for the record",
        "lift": "it may be deployed again",
        **_COMMON,
        "environment": "only there; absent: everywhere",
    }
)
def quarantine(
    _context: Context,
    target: str,
    *,
    message: str = "",
    lift: bool = False,
    service: str | None = None,
    environment: str | None = None,
    json: bool = False,
) -> None:
    """Set a release aside, so that no rollback chooses it."""
    _run(
        "quarantine",
        to=target,
        message=message,
        lift=lift,
        service=service,
        environment=environment,
        json=json,
    )


@task(
    help={
        "finish": "bring it to its end",
        "revert": "put back what ran before",
        **{key: _ACTING[key] for key in ("message", "yes", "plan", "break_lock")},
        **_COMMON,
    }
)
def converge(
    _context: Context,
    *,
    finish: bool = False,
    revert: bool = False,
    message: str = "",
    yes: bool = False,
    plan: bool = False,
    break_lock: bool = False,
    service: str | None = None,
    environment: str | None = None,
    json: bool = False,
) -> None:
    """Finish or undo a deployment that ended in the middle, as when a laptop died."""
    _run(
        "converge",
        finish=finish,
        revert=revert,
        message=message,
        yes=yes,
        plan=plan,
        break_lock=break_lock,
        service=service,
        environment=environment,
        json=json,
    )


_WORD: Final = {"message": "why, for the record", **_COMMON}


@task(help={"for_": "how long, as 2h; absent: until it is thawed", **_WORD})
def freeze(
    _context: Context,
    *,
    for_: str | None = None,
    message: str = "",
    service: str | None = None,
    environment: str | None = None,
    json: bool = False,
) -> None:
    """Refuse deployments to an environment; rollbacks go on."""
    _run("freeze", until=for_, message=message, service=service, environment=environment, json=json)


@task(help=_WORD)
def thaw(
    _context: Context,
    *,
    message: str = "",
    service: str | None = None,
    environment: str | None = None,
    json: bool = False,
) -> None:
    """Take deployments to an environment again."""
    _run("thaw", message=message, service=service, environment=environment, json=json)


@task(
    help={
        **{key: _ACTING[key] for key in ("service", "yes", "json")},
        "adopt": "an event that was put aside and that you have looked at: its file's name",
    }
)
def sync(
    _context: Context,
    *,
    adopt: str | None = None,
    service: str | None = None,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Publish deployment events that wait for the git remote, and fetch what others recorded."""
    _run("sync", adopt=adopt, service=service, yes=yes, json=json)


@task(
    help={
        **_COMMON,
        "environment": "only this one; absent: all",
        "last": "how many releases of each environment; absent: `retention.releases`",
        "deep": "download or export every layer, and hash it",
        "record": "put the result into the ledger",
        "no_engine": "this machine reaches no engine: what only they can tell is not judged",
        "secrets_elsewhere": "secrets that cannot be read here are not judged",
        "rebuild": f"instead: build this release from its record and compare: {_TO}",
        "keep": "with --rebuild: keep the image, if it is the released one, where deployments find it",
        "repair": "instead: add what is missing after releases were recorded: tags, index entries, events",
        "yes": "with --repair: do it without asking",
        "plan": "with --repair: show what would be done, and stop",
        "ledger": "instead: the ledger, from its first commit on",
    }
)
def verify(
    _context: Context,
    *,
    environment: str | None = None,
    last: str | None = None,
    deep: bool = False,
    record: bool = False,
    no_engine: bool = False,
    secrets_elsewhere: bool = False,
    rebuild: str | None = None,
    keep: bool = False,
    repair: bool = False,
    yes: bool = False,
    plan: bool = False,
    ledger: bool = False,
    service: str | None = None,
    json: bool = False,
) -> None:
    """Prove that the last releases could be put back now; or what is recorded (--ledger)."""
    _run(
        "verify",
        environment=environment,
        last=last,
        deep=deep,
        record=record,
        no_engine=no_engine,
        secrets_elsewhere=secrets_elsewhere,
        rebuild=rebuild,
        keep=keep,
        repair=repair,
        yes=yes,
        plan=plan,
        ledger=ledger,
        service=service,
        json=json,
    )


@task(
    help={
        "to": f"what to rehearse: {_TO}; absent: where a bare rollback would go",
        **_COMMON,
        "on": "the environment on whose engine; absent: `drill_on`, else the environment's own",
        "with_secrets": "with the real secrets; else those of the smoke run",
        "with_networks": "in the environment's networks too; else only in one of its own",
        "no_record": "leave the ledger alone",
        "yes": "do it without asking, where it would be asked",
    }
)
def drill(
    _context: Context,
    *,
    to: str | None = None,
    service: str | None = None,
    environment: str | None = None,
    on: str | None = None,
    with_secrets: bool = False,
    with_networks: bool = False,
    no_record: bool = False,
    yes: bool = False,
    json: bool = False,
) -> None:
    """Rehearse a rollback: really start a release beside what runs, measure it, take it away."""
    _run(
        "drill",
        to=to,
        service=service,
        environment=environment,
        on=on,
        with_secrets=with_secrets,
        with_networks=with_networks,
        no_record=no_record,
        yes=yes,
        json=json,
    )


@task(
    help={
        **_COMMON,
        "environment": "only the engine of this one; absent: all engines of the service",
        "last_copies": "also images that are nowhere else",
        "offline": "go by what this clone knows, where the git remote does not answer",
        "yes": "do it without asking",
        "plan": "show what would be done, and stop",
    }
)
def prune(
    _context: Context,
    *,
    service: str | None = None,
    environment: str | None = None,
    last_copies: bool = False,
    offline: bool = False,
    yes: bool = False,
    plan: bool = False,
    json: bool = False,
) -> None:
    """Remove images that no rollback needs any more from the engines."""
    _run(
        "prune",
        service=service,
        environment=environment,
        last_copies=last_copies,
        offline=offline,
        yes=yes,
        plan=plan,
        json=json,
    )


@task(help={key: _COMMON[key] for key in ("service", "json")})
def doctor(_context: Context, *, service: str | None = None, json: bool = False) -> None:
    """Look whether everything is there that a deployment needs."""
    _run("doctor", service=service, json=json)


@task(help={key: {**_COMMON, **_ACTING}[key] for key in ("service", "yes", "plan", "json")})
def ledger_rebuild(
    _context: Context,
    *,
    service: str | None = None,
    yes: bool = False,
    plan: bool = False,
    json: bool = False,
) -> None:
    """Make again what the ledger lost: index entries, or all releases from their images."""
    _run("ledger_rebuild", service=service, yes=yes, plan=plan, json=json)


@task(help={key: {**_COMMON, **_ACTING}[key] for key in ("service", "message", "yes", "json")})
def ledger_checkpoint(
    _context: Context, *, service: str | None = None, message: str = "", yes: bool = False, json: bool = False
) -> None:
    """Vouch with your signature for commits of the ledger that nobody allowed has signed."""
    _run("ledger_checkpoint", service=service, message=message, yes=yes, json=json)


@task(
    positional=() if sys.argv[-1] == "explain" else ("topic",),  # invoke has no argument that may be left out
    help={"topic": "name of a page, as `invoke explain` lists them"},
)
def explain(_context: Context, *, topic: str | None = None) -> None:
    """Show a page of the documentation, or list the pages."""

    def body(console: Console, _: Interruption) -> int:
        from release.topics import explain as show_page

        show_page(topic, console)
        return 0

    _ended(guarded(body))


def namespace() -> Collection:
    """The tasks, for a service's tasks.py: `ns = release.namespace()`."""
    # invoke ends with status 1 for a wrong command line; here 1 means that something was tried and failed.
    vars(parser)["ParseError"] = WrongCommandLine
    return Collection(
        *(deploy, rollback, status, history, show, diff, converge, quarantine, freeze, thaw),
        *(sync, verify, drill, prune, doctor, ledger_rebuild, ledger_checkpoint, explain),
    )


class WrongCommandLine(ParseError, Exit):
    """invoke's error for a command line it does not understand, with the status 2 of our usage errors."""

    def __init__(self, msg: str, context: ParserContext | None = None) -> None:
        """Leave the message of `Exit` empty: invoke prints both, and once is enough."""
        Exception.__init__(self, msg)
        self.context = context
        self.message = None
        self._code = 2


def _run(command: str, **words: Any) -> None:
    """Run one command, guarded."""

    def body(console: Console, interruption: Interruption) -> int:
        with unswept("release.commands"):
            from release.commands import action
            from release.commands.command_line import CommandContext, CommandOptions

            act = action(command)
        return act(CommandContext(words=CommandOptions(**words), console=console, interruption=interruption))

    _ended(guarded(body))


def _ended(status: int) -> None:
    """End the task. Raise Exit if its status is not 0."""
    if status:
        raise Exit(code=status)


def guarded(body: Callable[[Console, Interruption], int]) -> int:
    """Run a body and render whatever it raises, once; the exit status."""
    with unswept("release.console"):
        from release.console import Console
        from release.interruption import Interrupted, Interruption
        from release.libraries import silence

    silence()
    with Console() as console:
        interruption = Interruption(at_once=lambda: console.abandon(_LEFT))
        try:
            with interruption.listening():
                return body(console, interruption)
        except Interrupted:
            return _interrupted(console, interruption)
        except Exception as error:  # noqa: BLE001 - the one place that ends every command
            return _failed(error, console, interruption)


_LEFT: Final = (
    "left at once, as a second signal asks: `invoke status` tells what is half done, "
    "`invoke converge` finishes or reverts it"
)


def _interrupted(console: Console, interruption: Interruption) -> int:
    from release.events import Warned

    name = interruption.arrived.name if interruption.arrived is not None else "a signal"
    done = "what was asked for is done, and stays" if interruption.too_late else "nothing was changed"
    console.emit(Warned(text=f"{name} arrived: {done}"))
    return _signal_status(interruption)


def _failed(error: Exception, console: Console, interruption: Interruption) -> int:
    """The error's own status; a signal's, where everything is as it was before."""
    from release.errors import MixedState, ReleaseError

    if not isinstance(error, ReleaseError):
        console.unexpected(error)
        return 1
    console.error(error)
    if interruption.arrived is not None and not isinstance(error, MixedState):
        return _signal_status(interruption)
    return error.exit_code


def _signal_status(interruption: Interruption) -> int:
    return 128 + (interruption.arrived or 0)
