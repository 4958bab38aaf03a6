"""Is everything there that a deployment needs? Each answer says what was found, or what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from release.config import Environment
from release.deploy.site import PATIENCE_SECONDS, Desk
from release.errors import LedgerUnreachable, ReleaseError
from release.events import Emit
from release.images.engine import Engine
from release.images.registry import Registry
from release.ledger import query
from release.secret import resolve


@dataclass(frozen=True, kw_only=True)
class Finding:
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
        desk = Desk.open(folder, service, environ=environ, emit=emit)
    except ReleaseError as error:
        yield _ill("configuration", error)
        return
    with desk:
        yield Finding(name="configuration", well=True, found=f"{desk.service.service} in {desk.source.root}")
        yield _finding("git", lambda: _git(desk))
        yield _finding("ledger", lambda: _ledger(desk))
        yield _finding("registry", lambda: _registry(desk))
        for name, settings in desk.service.environments.items():
            yield _finding(f"{name}: engine", partial(_engine, settings))
            yield _secrets(desk, name, settings)


def _finding(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, well=True, found=look())
    except ReleaseError as error:
        return _ill(name, error)


def _ill(name: str, error: ReleaseError) -> Finding:
    return Finding(name=name, well=False, found=f"cannot {error.attempted}: {error.found}", hint=error.hint)


def _git(desk: Desk) -> str:
    head = desk.source.head()
    return f"commit {head.id[:12]}, as {desk.actor.name} <{desk.actor.email}>"


def _ledger(desk: Desk) -> str:
    settings = desk.service.ledger
    if not desk.ledger.refresh(PATIENCE_SECONDS):
        raise LedgerUnreachable(
            f"ask the git remote {settings.remote} for the ledger",
            "it does not answer",
            "deploy and rollback work without it; releases need it: git ls-remote " + str(settings.remote),
        )
    count = len(query.versions(desk.ledger, desk.service.service))
    waiting = len(desk.ledger.unsynced())
    place = (
        f"{settings.branch} on {settings.remote}"
        if settings.remote
        else f"{settings.branch} in this clone only"
    )
    events = f"; {waiting} events wait for `invoke sync`" if waiting else ""
    return f"{place}: {count} releases{events}"


def _registry(desk: Desk) -> str:
    if desk.service.registry is None:
        return "none configured: images stay in the engine's own store"
    with closing(Registry(desk.service.repository)) as registry:
        registry.ping()
    return f"{desk.service.repository.host} answers"


def _engine(settings: Environment) -> str:
    with Engine.connect(host=settings.host, context=settings.context) as engine:
        info = engine.info
        return f"{engine.host}: {info.name} {info.version}, {info.platform}, {info.image_store} image store"


def _secrets(desk: Desk, name: str, settings: Environment) -> Finding:
    """Whether every secret can be read now."""
    values, unread = resolve(settings.secrets, root=desk.source.root, environ=desk.environ)
    if unread:
        found = "; ".join(f"{item.name}: {item.reason}" for item in unread)
        return Finding(
            name=f"{name}: secrets", well=False, found=found, hint="set them where you deploy from"
        )
    return Finding(name=f"{name}: secrets", well=True, found=f"{len(values)} can be read")
