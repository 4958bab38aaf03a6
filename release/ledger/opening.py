"""Opening a service's ledger as its settings say: signers, and the repository that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache, partial

from release.config import Ledger as Settings
from release.history import roots
from release.ledger.lineage import Home
from release.ledger.memory import Policy
from release.ledger.proof import Policies
from release.ledger.signing import Signers
from release.ledger.store import Ledger
from release.source import Source
from release.tags import released_tag


def open_ledger(
    source: Source,
    settings: Settings,
    services: Collection[str],
    say: Callable[[str], None],
    warn: Callable[[str], None],
    *,
    vouching: bool = False,
    anew: bool = False,
    in_ci: bool = False,
) -> Ledger:
    """Open the ledger of these settings and services, and prove what this clone has of it.

    Args:
        source: the repository.
        settings: of the ledger.
        services: those of today's configuration.
        say: called with a sentence about a proof that is long or not of the whole ledger.
        warn: called with a sentence for each waiting event that this clone did not write.
        vouching: read past commits that nobody allowed signed, for a person who vouches for them.
        anew: a new ledger may begin here, though git tags name releases of another one.
        in_ci: this is a CI job, where a clone may begin at the newest commits.

    Raises:
        NotALedger: the branch holds something else. LedgerRewritten: it lacks what was proven before.
        LedgerError: git cannot read it, or there is no file of allowed signers.
    """
    policy = Policy(
        signers=Signers.of(source.root, settings) if settings.require_signed and not vouching else None,
        home=home(source, settings, services, anew=anew),
        tip=in_ci and settings.fetch == "auto" and not vouching,
    )
    return Ledger.open(
        source,
        branch=settings.branch,
        remote=settings.remote,
        sign=settings.sign or settings.require_signed,
        policies=Policies(policy=policy, say=say, bind=True, vouch=vouching),
        tell=warn,
    )


def home(source: Source, settings: Settings, services: Collection[str], *, anew: bool = False) -> Home:
    """Return what tells this repository and its services from others. `anew`: a new ledger may begin here."""
    tag = partial(released_tag, source, settings.remote) if settings.remote is not None else lambda: None
    return Home(
        services=frozenset(services),
        ledger=settings.id,
        roots=cache(partial(roots, source)),
        released=lambda: None if anew else tag(),
    )
