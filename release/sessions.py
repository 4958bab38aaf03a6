"""The nox sessions of the release chain, defined by `register()`.

Nothing heavy is imported before a session runs, so that `nox -l` stays fast. Options come after `--`:

    nox -s release -- --version 1.4.2 --service api --plan
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import nox

from release.chain.arguments import options_for_each_service, parse_arguments
from release.chain.names import SESSIONS
from release.garbage_collection import pause_collection, skip_collection_at_exit
from release.values import Struct

if TYPE_CHECKING:
    from release.chain.assemble import Project
    from release.chain.pipeline import Stage
    from release.chain.plan import Facts, Options, Plan
    from release.chain.stage_context import Purpose, StageContext
    from release.config import Service
    from release.console import Console
    from release.errors import ReleaseError
    from release.events import Planned, Released
    from release.images.engine import Engine
    from release.programs.interruption import Interruption
    from release.records import Record, Release


class _Door(Struct, frozen=True, kw_only=True):
    """Context of one nox session."""

    name: str
    arguments: argparse.Namespace
    console: Console
    interruption: Interruption
    session: nox.Session | None = None


def register() -> None:
    """Define the nox sessions."""
    for name, line in SESSIONS.items():
        decorate = nox.session(name=name, venv_backend="none", default=False)
        decorate(_session(name, line))


def _session(name: str, line: str) -> Callable[[nox.Session], None]:
    def run(session: nox.Session) -> None:
        _run(name, session)

    run.__doc__ = line
    return run


def _run(name: str, session: nox.Session) -> None:
    """Run a session; report any error once and fail the session."""
    skip_collection_at_exit()
    with pause_collection("release.console"):
        from release.console import Console
        from release.errors import ReleaseError, UsageError
        from release.library_logging import silence
        from release.programs.interruption import Interrupted, Interruption

    silence()
    arguments = parse_arguments(name, session.posargs)
    with Console() as console:
        interruption = Interruption(at_once=console.print_last_text)
        cmd = _Door(
            name=name, arguments=arguments, console=console, interruption=interruption, session=session
        )
        try:
            with interruption.listening():
                _dispatch(cmd)
        except ReleaseError as error:
            if interruption.arrived is not None:
                _interrupted(cmd, error)
            console.print_error(error)
            if error.exit_code == UsageError.exit_code:
                raise SystemExit(error.exit_code) from error  # nox itself gives 1 for each failed session
            session.error(f"{name}: {type(error).__name__}")
        except Interrupted:
            _interrupted(cmd, None)
        except Exception as error:  # noqa: BLE001 - the one place that ends every session
            console.print_unexpected_error(error)
            session.error(f"{name}: {type(error).__name__}")


def _interrupted(cmd: _Door, error: ReleaseError | None) -> NoReturn:
    """Report what a signal stopped, and exit as shells expect: status 128 plus the signal's number.

    For SIGINT, KeyboardInterrupt makes nox exit so. An error of the ledger at the commit point is shown: only
    the next run finds out whether the release is recorded.
    """
    from release.errors import LedgerError
    from release.events import Warned

    number = cmd.interruption.arrived
    assert number is not None  # noqa: S101 - only called when one has arrived
    if isinstance(error, LedgerError):
        cmd.console.print_error(error)
    elif cmd.name == "release" and not cmd.interruption.too_late:
        cmd.console.emit(Warned(text=f"{number.name} arrived: nothing was released"))
    elif cmd.name == "release":
        finish = "run `nox -s release` again to finish the rest"
        cmd.console.emit(Warned(text=f"{number.name} arrived, and the release is recorded: {finish}"))
    else:
        cmd.console.emit(Warned(text=f"{number.name} arrived; nothing was released"))
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _dispatch(cmd: _Door) -> None:
    with pause_collection("release.chain.pipeline"):
        from release.chain import pipeline  # noqa: F401 - with all that it needs
        from release.chain.assemble import Project
        from release.chain.plan import Options
        from release.secrets.detection import secrets_of
        from release.values import replace
        from release.versioning.version import Request

    arguments = cmd.arguments
    options = Options(
        request=Request.parse(version=arguments.version, bump=arguments.bump),
        no_cache=arguments.no_cache,
        allow_dirty=arguments.allow_dirty,
    )
    cmd.console.mask_values(secrets_of(os.environ))
    if getattr(arguments, "changed", False):
        _changed(options, cmd)
        return
    project = replace(
        Project.open(Path.cwd(), arguments.service, cmd.console.emit, cmd.console.mask),
        new_ledger=arguments.new_ledger,
    )
    if cmd.name == "release":
        _release(project, options, cmd)
    elif cmd.name == "refresh":
        _refresh(project, options, cmd)
    else:
        _stages(project, options, cmd)


def _changed(options: Options, cmd: _Door) -> None:
    """Release all services that changed since their own last release."""
    from release.chain import changed
    from release.chain.assemble import Project
    from release.values import replace

    arguments, console = cmd.arguments, cmd.console
    changed.refuse_other_options(arguments)
    jobs = changed.parse_jobs(arguments.jobs)

    def opened(name: str) -> Project:
        project = Project.open(Path.cwd(), name, console.emit, console.mask)
        return replace(project, new_ledger=arguments.new_ledger)

    source, names = changed.read_service_names(Path.cwd())
    changes = changed.compare_services(names, opened, options)
    if arguments.plan:
        console.print_json([each.to_json() for each in changes])
        changed.raise_comparison_errors(changes)
        return
    releasing = changed.ServiceReleases(
        argv=lambda name: changed.release_command(cmd.session, name, options_for_each_service(arguments)),
        root=source.root,
        jobs=jobs,
        cancellation=cmd.interruption.cancellation,
    )
    with cmd.interruption.held():
        results = releasing.release_all(changes)
        cmd.interruption.too_late = any(each.status == "released" for each in results)
    if arguments.json:
        console.print_json([each.to_json() for each in results])
    else:
        for each in reversed(results):  # the last one that is registered is the first that is called
            atexit.register(console.print_result, each.to_line)
    changed.raise_release_errors(results, cmd.interruption.cancellation)


def reusable(name: str, arguments: argparse.Namespace) -> frozenset[str]:
    """Return the stages that may use a cached result, without the stage that the user named."""
    from release.chain.pipeline import GATES

    return frozenset() if arguments.no_reuse else frozenset(GATES) - {name}


def _shop(project: Project, plan: Plan, cmd: _Door) -> StageContext:
    spared, stop = reusable(cmd.name, cmd.arguments), cmd.interruption.cancellation
    purposes: dict[str, Purpose] = {"release": "release", "check": "check"}
    purpose = purposes.get(cmd.name, "other")
    return project.create_context(plan, purpose=purpose, reusable=spared, cancellation=stop)


def _release(project: Project, options: Options, cmd: _Door) -> None:
    from release.chain.plan import released_plan_to_json

    if not cmd.arguments.plan:
        project.reports.remove_release_variables()
    project.refresh_ledger()
    facts = project.read_facts(options)
    record = project.released(facts, options)
    if record is None:
        project.report_commit_messages(facts, options)
    if cmd.arguments.plan:
        cmd.console.print_json(
            released_plan_to_json(record) if record else project.plan_release(facts, options).to_json()
        )
        return
    if record is not None:
        cmd.interruption.too_late = True
        _again(project, record, cmd.console)
        _tell(project, record, facts, cmd)
    else:
        ctx = _shop(project, project.plan_release(facts, options), cmd)
        _make(ctx, cmd, lambda made: _tell(project, made, facts, cmd))


def _tell(project: Project, record: Record[Release], facts: Facts, cmd: _Door) -> None:
    """Report a release: to later jobs in a file, to people on the terminal."""
    released = _released(record, [message.subject for message in facts.messages])
    project.reports.write_release_variables(released, cmd.console.emit)
    cmd.console.emit(released)
    if cmd.arguments.json:
        cmd.console.print_json(record.to_json())
    else:
        _print_released_image(cmd.console, released)


def _make(ctx: StageContext, cmd: _Door, tell: Callable[[Record[Release]], None]) -> None:
    """Run the whole chain. Call `tell` with the record once nothing more can fail."""
    from release.chain.pipeline import STAGES
    from release.chain.publishing.record import Recorded
    from release.events import Warned

    cmd.console.emit(_planned(ctx))
    try:
        _run_stages(ctx, STAGES, cmd, lambda: tell(ctx.products.get(Recorded).record))
    finally:
        if cmd.interruption.arrived is not None and cmd.interruption.too_late:
            name = f"{ctx.plan.service.service} {ctx.plan.version}"
            cmd.console.emit(
                Warned(
                    text=f"{name} is released: the signal arrived after the commit point. No action needed."
                )
            )


def _run_stages(
    ctx: StageContext, stages: Sequence[Stage], cmd: _Door, finished: Callable[[], None] = lambda: None
) -> None:
    """Run stages. Raises Cancelled after a signal, also if the signal came too late to stop them."""
    from release.chain.pipeline import run_stages
    from release.chain.publishing.record import Recorded

    with cmd.interruption.held():
        try:
            run_stages(ctx, stages, finished)
        finally:  # not later: a signal after the block ends the session wherever it is
            cmd.interruption.too_late = ctx.products.has(Recorded)
        ctx.cancellation.check()


def _planned(ctx: StageContext) -> Planned:
    from release.events import Planned

    plan, commit = ctx.plan, ctx.plan.commit
    folder = str(ctx.run_folder.path.relative_to(ctx.source.root))
    return Planned(
        service=plan.service.service,
        version=str(plan.version),
        commit=commit.id,
        subject=commit.subject,
        folder=folder,
    )


def _released(record: Record[Release], commits: Sequence[str]) -> Released:
    from release.events import Released

    body = record.body
    return Released(
        service=record.envelope.service,
        version=body.version,
        digest=body.image.digest,
        reference=f"{body.image.repository}@{body.image.digest}",
        tag=body.source.tag,
        commits=tuple(commits),
    )


def _again(project: Project, record: Record[Release], console: Console) -> None:
    """Finish a release that is already recorded: restore a missing version tag, and build nothing.

    The releasing run may have been killed right after the record, so its stale objects are removed.
    """
    from release.chain import stale_runs
    from release.chain.publishing.promote import tag_release
    from release.chain.release_folder import HOME
    from release.events import Notice
    from release.text.local_time import local_time

    body, service = record.body, project.service
    console.emit(
        Notice(
            text=f"commit {body.source.commit[:12]} is released as {body.version} "
            f"since {local_time(record.envelope.recorded_at)}: nothing to build"
        )
    )
    engine = _engine_of_a_release(service)
    if engine is not None:
        home = project.source.root / HOME
        stale_runs.clean_up_stale_runs(home, service.service, lambda: engine, console.emit)
    tag_release(body, engine if service.registry is None else None, console.emit)


def _engine_of_a_release(service: Service) -> Engine | None:
    """Return the engine; None if it cannot be reached and a registry holds the image."""
    from release.errors import ReleaseError
    from release.images.engine import Engine

    try:
        return Engine.connect()
    except ReleaseError:
        if service.registry is None:
            raise
        return None


def _print_released_image(console: Console, released: Released) -> None:
    """Print the result as the last line of output, at exit: nox writes after the session."""
    line = f"{released.service} {released.version} {released.reference}"
    atexit.register(console.print_result, line)


def _stages(project: Project, options: Options, cmd: _Door) -> None:
    """Run one stage with its prerequisites, or all gates."""
    from release.chain.pipeline import GATES, stages_needed_for
    from release.chain.testing.proof import select_tests
    from release.values import replace

    project.ledger.refresh()
    facts = project.read_facts(options)
    plan = project.plan_gates(facts, options)
    if cmd.name == "test" and cmd.arguments.only:
        chosen = {"test": select_tests(plan.service.test, cmd.arguments.only)}
        plan = replace(plan, service=plan.service.model_copy(update=chosen))
    if cmd.name == "check":
        project.report_commit_messages(facts, options)
    if cmd.arguments.plan:
        cmd.console.print_json(plan.to_json())
        return
    ctx = _shop(project, plan, cmd)
    cmd.console.emit(_planned(ctx))
    names = GATES if cmd.name == "check" else (cmd.name,)
    _run_stages(ctx, stages_needed_for(names), cmd)


def _refresh(project: Project, options: Options, cmd: _Door) -> None:
    """Update the lockfile in a commit, run all gates, and move the branch to the commit if they pass."""
    from release.chain.pipeline import GATES, stages_needed_for
    from release.chain.refreshing.session import COLUMNS, run_refresh

    def run(ctx: StageContext) -> None:
        cmd.console.emit(_planned(ctx))
        _run_stages(ctx, stages_needed_for(GATES), cmd)

    packages = tuple(cmd.arguments.package)
    rows = run_refresh(project, options, packages, lambda at, plan: _shop(at, plan, cmd), run)
    cmd.console.print_table(COLUMNS, rows)
