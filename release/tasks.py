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
    "service": "service, if the repository has several",
    "environment": "environment, if the service has several",
    "json": "print the result as JSON",
}
_ACTING: Final = {
    **_COMMON,
    "message": "reason, for the record",
    "yes": "do it without a question",
    "plan": "show the plan, and stop",
    "allow_quarantined": "accept a release that is quarantined; needs a message",
    "cross_migrations": "roll back although that leaves migrations behind",
    "down": "state of the command that undoes migrations: done (it is skipped) or again (it runs once more)",
    "wait": "seconds to wait for the lock of another deployment",
    "break_lock": "take the lock from its holder; needs a message",
    "rebuild": "if the image is nowhere: build it from its record, and compare the digests",
    "again": "replace the running container although it is as asked",
}


@task(
    help={
        "to": f"release to deploy: {_TO}",
        "thaw": "end the freeze of the environment first; needs a message",
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


@task(help={"to": f"release to go back to: {_TO}; absent: the healthy release before this one", **_ACTING})
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
        "environment": "only this environment; absent: all",
        "exit_code": "end with 1 if something differs from the ledger",
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
        "limit": "number of records; absent: 20",
        "since": 'only records since a time: 2d, "yesterday 18:00", 2026-11-21',
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


@task(help={"target": f"release: {_TO}", **_COMMON})
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


@task(help={"before": f"one release: {_TO}", "after": "the other release", **_COMMON})
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
        "target": f"release: {_TO}",
        "message": "reason, for the record",
        "lift": "end the quarantine: the release may be deployed again",
        **_COMMON,
        "environment": "only in this environment; absent: everywhere",
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
        "finish": "finish the interrupted deployment",
        "revert": "restore the release that ran before",
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


_WORD: Final = {"message": "reason, for the record", **_COMMON}


@task(help={"for_": "duration, as 2h; absent: until `invoke thaw`", **_WORD})
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
        "adopt": "publish a refused event that you have checked: the name of its file",
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
        "environment": "only this environment; absent: all",
        "last": "number of releases of each environment; absent: `retention.releases`",
        "deep": "download or export every layer, and hash it",
        "record": "record the result in the ledger",
        "no_engine": "skip the questions to engines, if this machine reaches none",
        "secrets_elsewhere": "skip secrets that this machine cannot read",
        "rebuild": f"instead: build this release from its record and compare: {_TO}",
        "keep": "with --rebuild: keep an image that is equal to the released one, for deployments",
        "repair": "instead: add what releases lack after they were recorded: tags, index entries, events",
        "yes": "with --repair: do it without a question",
        "plan": "with --repair: show the plan, and stop",
        "ledger": "instead: prove the ledger, from its first commit",
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
        "to": f"release to start: {_TO}; absent: the target of `invoke rollback` without --to",
        **_COMMON,
        "on": "environment whose engine is used; absent: `drill_on`, or else the environment itself",
        "with_secrets": "use the real secrets instead of those of the smoke run",
        "with_networks": "join the environment's networks instead of a separate one only",
        "no_record": "do not record the drill",
        "yes": "do it without a question",
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
        "environment": "only the engine of this environment; absent: all engines of the service",
        "last_copies": "remove also images of which no other copy exists",
        "offline": "use what this clone knows, if the git remote does not answer",
        "yes": "do it without a question",
        "plan": "show the plan, and stop",
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
