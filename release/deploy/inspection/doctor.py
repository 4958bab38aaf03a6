"""Is everything there that a deployment needs? Each answer says what was found, or what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial

from release.config import Environment, Migrations
from release.deploy.core.finding import Finding, finding, ill
from release.deploy.environment.environment import PATIENCE_SECONDS, LiveEnvironment, Workspace
from release.deploy.environment.ingress import placed
from release.errors import EngineError, LedgerUnreachable, ReleaseError
from release.images.registry import PRESSED, Registry
from release.ledger import query
from release.migrations import matching_files, unmatched_pattern_warnings
from release.runspec import ProcessSpec, RunSpec
from release.secrets.sources import resolve_secrets


def shared(workspace: Workspace) -> Iterator[Finding]:
    """Check the repository, the ledger and the registry."""
    yield Finding(
        name="configuration", well=True, found=f"{workspace.service.service} in {workspace.source.root}"
    )
    yield finding("git", lambda: _git(workspace))
    yield finding("ledger", lambda: _ledger(workspace))
    yield finding("registry", lambda: _registry(workspace))


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Check everything else that deployments need."""
    if workspace.service.migrations is not None:
        yield _migrations(workspace, workspace.service.migrations)
    for name, settings in workspace.service.environments.items():
        yield from _place(workspace, name)
        yield _secrets(workspace, name, settings)


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
    """Return a finding on migration patterns that match no file."""
    try:
        files = workspace.source.listing(workspace.source.head().id, workspace.service.context)
    except ReleaseError as error:
        return ill("migrations", error)
    wrong = unmatched_pattern_warnings(files, settings.paths)
    found = "; ".join(wrong) or f"{len(matching_files(files, settings.paths))} in the last commit"
    return Finding(
        name="migrations",
        well=not wrong,
        found=found,
        hint="correct the pattern in migrations.paths" if wrong else "",
    )


def _place(workspace: Workspace, name: str) -> Iterator[Finding]:
    """Check the engine of an environment, and what its deployments need."""
    try:
        with workspace.live(name) as live:
            yield from live.target.upkeep.machine_findings(name)
            yield finding(f"{name}: settings", partial(_settings, live))
            yield from live.target.upkeep.cluster_findings(name)
    except ReleaseError as error:
        yield ill(f"{name}: engine", error)


def _settings(live: LiveEnvironment) -> str:
    """Check networks, volumes and the proxy of today's settings."""
    today = live.settings
    spec = placed(_asking(today), today)
    problems = live.target.rollouts.settings_problems(spec)
    if problems:
        found = "; ".join(problem.message for problem in problems)
        commands = [problem.message.partition(": docker ")[2] for problem in problems]
        mend = " && ".join(f"docker {words}" for words in commands if words)
        hint = mend or f"correct these keys of environments.{live.place.environment}"
        raise EngineError(f"deploy to {live.place.environment} with today's settings", found, hint)
    every, settings = spec.every.values(), today.every.values()
    kinds = sorted({each.proxy.kind for each in settings if each.proxy is not None})
    behind = f", the proxy ({', '.join(kinds)}) answers" if kinds else ""
    networks = {network for each in every for network in each.networks}
    volumes = {str(volume) for each in every for volume in each.volumes}
    return f"{len(networks)} networks and {len(volumes)} volumes are there{behind}"


def _asking(today: Environment) -> RunSpec:
    """Return the settings that need something from the machines."""
    if today.processes:
        every = today.every.items()
        return RunSpec(processes=tuple(ProcessSpec(name=name, settings=_asked(one)) for name, one in every))
    return _asked(today)


def _asked(today: Environment) -> RunSpec:
    known = RunSpec(networks=today.networks, volumes=today.volumes)
    if not any(today.target_settings.values()):
        return known
    names = ("cpus", "publish", "replicas")
    apart = {name: getattr(today, name) for name in names}
    return known.model_copy(update={**today.target_settings, **apart})


def _secrets(workspace: Workspace, name: str, settings: Environment) -> Finding:
    """Return a finding: whether every secret can be read now."""
    values, unread = resolve_secrets(
        settings.secrets, root=workspace.source.root, environ=workspace.environ, tell=workspace.tell
    )
    if unread:
        found = "; ".join(f"{item.name}: {item.reason}" for item in unread)
        return Finding(
            name=f"{name}: secrets", well=False, found=found, hint="set them on the machine that deploys"
        )
    return Finding(name=f"{name}: secrets", well=True, found=f"{len(values)} can be read")
