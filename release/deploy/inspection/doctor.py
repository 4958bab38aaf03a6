"""Is everything there that a deployment needs? Each answer says what was found, or what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Final

from release.config import Environment, Migrations
from release.deploy.environment.environment import PATIENCE_SECONDS, LiveEnvironment, Workspace
from release.deploy.environment.ingress import placed
from release.deploy.targets.swarm.api import Node, Swarm
from release.deploy.targets.swarm.nodes import Machine, Machines, look_into
from release.deploy.targets.swarm.target import SwarmTarget, no_manager
from release.errors import EngineError, LedgerUnreachable, ReleaseError
from release.events import Emit
from release.images.engine import Engine
from release.images.reach import is_local
from release.images.registry import PRESSED, Registry
from release.ledger import query
from release.migrations import idle, matching
from release.runspec import RunSpec
from release.secret import resolve
from release.values import Struct

_CLOCKS_APART_SECONDS: Final = 5.0
LEAST_FREE_BYTES: Final = 2 * 1024**3
"""An image of a Python service with its layers unpacked, and some room."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `hint` is what to do where it is not well."""

    name: str
    well: bool
    found: str
    hint: str = ""


def examine(
    folder: Path, service: str | None, *, environ: Mapping[str, str], emit: Emit
) -> Iterator[Finding]:
    """Look at the repository and its configuration, then at everything that they name."""
    try:
        workspace = Workspace.open(folder, service, environ=environ, emit=emit)
    except ReleaseError as error:
        yield _ill("configuration", error)
        return
    with workspace:
        yield Finding(
            name="configuration", well=True, found=f"{workspace.service.service} in {workspace.source.root}"
        )
        yield _finding("git", lambda: _git(workspace))
        yield _finding("ledger", lambda: _ledger(workspace))
        yield _finding("registry", lambda: _registry(workspace))
        if workspace.service.migrations is not None:
            yield _migrations(workspace, workspace.service.migrations)
        for name, settings in workspace.service.environments.items():
            yield from _place(workspace, name)
            yield _secrets(workspace, name, settings)


def _finding(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, well=True, found=look())
    except ReleaseError as error:
        return _ill(name, error)


def _ill(name: str, error: ReleaseError) -> Finding:
    return Finding(name=name, well=False, found=f"cannot {error.attempted}: {error.found}", hint=error.hint)


def _git(workspace: Workspace) -> str:
    head = workspace.source.head()
    return f"commit {head.id[:12]}, as {workspace.actor.name} <{workspace.actor.email}>"


def _ledger(workspace: Workspace) -> str:
    settings = workspace.service.ledger
    if not workspace.ledger.refresh(PATIENCE_SECONDS):
        silence = workspace.ledger.silence
        raise LedgerUnreachable(
            f"ask the git remote {settings.remote} for the ledger",
            silence.found if silence is not None else "it does not answer",
            "deploy and rollback work without it, but releases need it. Try: git ls-remote "
            + str(settings.remote),
        )
    workspace.ledger.check_address()
    if workspace.ledger.unproven is not None:
        raise workspace.ledger.unproven
    count = len(query.versions(workspace.ledger, workspace.service.service))
    waiting = len(workspace.ledger.unsynced())
    place = (
        f"{settings.branch} on {settings.remote}"
        if settings.remote
        else f"{settings.branch} in this clone only"
    )
    events = f"; {waiting} events wait for `invoke sync`" if waiting else ""
    return f"{place}: {count} releases{events}"


def _registry(workspace: Workspace) -> str:
    if workspace.service.registry is None:
        return "none configured: images stay in the engine's own store"
    with closing(Registry(workspace.service.repository, pace=PRESSED)) as registry:
        registry.ping()
    return f"{workspace.service.repository.host} answers"


def _migrations(workspace: Workspace, settings: Migrations) -> Finding:
    """A pattern that matches nothing is a fence that nobody ever meets."""
    try:
        files = workspace.source.listing(workspace.source.head().id, workspace.service.context)
    except ReleaseError as error:
        return _ill("migrations", error)
    wrong = idle(files, settings.paths)
    found = "; ".join(wrong) or f"{len(matching(files, settings.paths))} in the last commit"
    return Finding(
        name="migrations",
        well=not wrong,
        found=found,
        hint="correct the pattern in migrations.paths" if wrong else "",
    )


def _place(workspace: Workspace, name: str) -> Iterator[Finding]:
    """An environment's engine, and what deployments there need of it."""
    try:
        with workspace.live(name) as live:
            yield Finding(name=f"{name}: engine", well=True, found=_engine(live.engine))
            yield _finding(f"{name}: clock", lambda: clock(live.engine))
            yield _finding(f"{name}: disk", lambda: disk(live.engine))
            yield _finding(f"{name}: settings", lambda: _settings(live))
            if live.settings.engine == "swarm":
                yield _finding(f"{name}: swarm", lambda: _swarm(live.engine))
                yield from _nodes(live, name)
    except ReleaseError as error:
        yield _ill(f"{name}: engine", error)


def _engine(engine: Engine) -> str:
    info = engine.info
    return f"{engine.host}: {info.name} {info.version}, {info.platform}, {info.image_store} image store"


def _swarm(engine: Engine) -> str:
    """The Swarm that an engine manages. Raises EngineError when it manages none."""
    swarm = Swarm(engine=engine)
    membership = swarm.membership()
    if not membership.is_manager:
        raise EngineError(f"use the Swarm of {engine.host}", no_manager(engine.host, membership))
    nodes = swarm.nodes()
    taking = sum(node.takes_tasks for node in nodes)
    return f"this is a manager; {taking} of {len(nodes)} nodes take tasks; {quorum(nodes)}"


def quorum(nodes: Sequence[Node]) -> str:
    """Return how many managers answer, and how many of them may be lost: more than half must be left."""
    managers = [node for node in nodes if node.is_manager]
    there = sum(node.reachability in ("leader", "reachable") for node in managers)
    spare = max(0, there - (len(managers) // 2 + 1))
    safe = f"{spare or 'none'} of them can fail without loss of the majority"
    return f"{there} of {len(managers)} managers answer; {safe}"


def _nodes(live: LiveEnvironment, name: str) -> Iterator[Finding]:
    """Each machine of the Swarm, and its engine where somebody may look into it."""
    if not isinstance(live.target, SwarmTarget):
        return
    with ExitStack() as stack:
        try:
            machines = look_into(live.target.swarm, live.target.ways, stack)
        except EngineError:
            return  # the finding before says so
        yield from machine_findings(name, machines)


def machine_findings(name: str, machines: Machines) -> Iterator[Finding]:
    """Return what the manager knows of each node; clock and disk of each that is looked into.

    Args:
        name: the environment's.
        machines: the first is that of the manager, whose clock and disk were told before.
    """
    for position, machine in enumerate(machines.every):
        about = f"{name}: node {machine}"
        yield _machine(about, machine)
        if machine.engine is not None and position:
            yield _finding(f"{about}: clock", partial(clock, machine.engine))
            yield _finding(f"{about}: disk", partial(disk, machine.engine))
    for text in machines.strange:
        yield Finding(name=f"{name}: nodes", well=False, found=text, hint="run on a manager: docker node ls")


def _machine(about: str, machine: Machine) -> Finding:
    node = machine.node
    role = f"manager ({node.reachability or 'unknown'})" if node.is_manager else "worker"
    facts = f"{node.cpus / 1000:g} processors, {node.memory / 1e9:.1f} GB"
    known = f"{role}, {node.state}, {node.availability}, engine {node.version}, {node.platform}, {facts}"
    unseen = f"; not checked: {machine.unseen}" if machine.unseen else ""
    is_heard = not node.is_manager or node.reachability in ("leader", "reachable")
    return Finding(
        name=about,
        well=node.is_ready and is_heard and not (machine.named and machine.unseen),
        found=known + unseen,
        hint="run on a manager: docker node ls; if a machine is lost for ever: docker node rm",
    )


def clock(engine: Engine) -> str:
    """Times of two clocks stand side by side in the ledger and on locks."""
    apart = abs(engine.info.ahead_ms) / 1000
    side = "ahead of" if engine.info.ahead_ms > 0 else "behind"
    if apart > _CLOCKS_APART_SECONDS:
        raise EngineError(
            f"use the clock of {engine.host}",
            f"it is {apart:.0f} s {side} this machine's",
            "set both clocks by a time server (NTP)",
        )
    return f"{apart:.1f} s {side} this machine's"


def disk(engine: Engine) -> str:
    """An engine tells where its data is, and not how much room is there."""
    root = engine.info.data_root
    if not (root and is_local(engine.host) and Path(root).exists()):
        return "unknown, because the engine is on another machine"
    usage = shutil.disk_usage(root)
    found = f"{usage.free / 1e9:.1f} GB of {usage.total / 1e9:.1f} GB are free below {root}"
    if usage.free < LEAST_FREE_BYTES:
        raise EngineError(f"put more images on {engine.host}", found, "invoke prune --plan; docker system df")
    return found


def _settings(live: LiveEnvironment) -> str:
    """Networks, volumes and the proxy of today's settings."""
    today = live.settings
    spec = placed(_asking(today), today)
    problems = live.target.settings_problems(spec)
    if problems:
        found = "; ".join(problem.message for problem in problems)
        raise EngineError(f"deploy to {live.place.environment} with today's settings", found, "correct this")
    behind = f", the proxy ({today.proxy.kind}) answers" if today.proxy is not None else ""
    return f"{len(spec.networks)} networks and {len(spec.volumes)} volumes are there{behind}"


def _asking(today: Environment) -> RunSpec:
    """Return what of the settings asks something of machines."""
    known = RunSpec(networks=today.networks, volumes=today.volumes)
    if not any(today.target_settings.values()):
        return known
    names = ("cpus", "publish", "replicas")
    apart = {name: getattr(today, name) for name in names}
    return known.model_copy(update={**today.target_settings, **apart})


def _secrets(workspace: Workspace, name: str, settings: Environment) -> Finding:
    """Return whether every secret can be read now."""
    values, unread = resolve(
        settings.secrets, root=workspace.source.root, environ=workspace.environ, tell=workspace.tell
    )
    if unread:
        found = "; ".join(f"{item.name}: {item.reason}" for item in unread)
        return Finding(
            name=f"{name}: secrets", well=False, found=found, hint="set them on the machine that deploys"
        )
    return Finding(name=f"{name}: secrets", well=True, found=f"{len(values)} can be read")
