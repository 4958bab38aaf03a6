"""Opening of a service's ledger by its settings: signers, and the repository of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache, partial

from release.config import Ledger as Settings
from release.git.history import roots
from release.git.source import Source
from release.git.tags import released_tag
from release.ledger.genesis import Home
from release.ledger.proof import Policies
from release.ledger.signing import Signers
from release.ledger.store import Ledger
from release.ledger.verified_head import Policy


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
    """Open the ledger of these settings and services, and prove its commits in this clone.

    Args:
        source: the repository.
        settings: settings of the ledger.
        services: services of today's configuration.
        say: called with a sentence if a proof is long, or does not cover the whole ledger.
        warn: called with a sentence for each waiting event that this clone did not write.
        vouching: True: read past commits without an allowed signature, because the operator vouches for them.
        anew: True: a new ledger may begin here, even if git tags name releases of another ledger.
        in_ci: True: a CI job, where a clone may begin at the newest commits.

    Raises:
        NotALedger: the branch is not a ledger. LedgerRewritten: the branch lacks commits that were proven.
        LedgerError: git cannot read the branch, or the file of allowed signers is missing.
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
    """Return the identity of this repository and its services. `anew`: a new ledger may begin here."""
    tag = partial(released_tag, source, settings.remote) if settings.remote is not None else lambda: None
    return Home(
        services=frozenset(services),
        ledger=settings.id,
        roots=cache(partial(roots, source)),
        released=lambda: None if anew else tag(),
    )
