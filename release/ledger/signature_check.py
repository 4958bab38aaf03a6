"""Check of signatures in a proof: finds the first commit without an allowed signature or voucher."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from release.errors import LedgerShallow
from release.git.runner import Git
from release.ledger.audit import LedgerState
from release.ledger.signing import Signature, Signers, read_signatures
from release.values import Struct

SAID: Final = 2_000
"""From so many commits on, a long proof is announced."""

_CHUNKS: Final = (1, 16, 256)
"""Numbers of signatures in one question: the newest alone usually suffices."""


class CheckedCommit(Struct, frozen=True, kw_only=True):
    """Commit that follows the rules; its signature is not checked yet."""

    commit: str
    vouches: bool
    """True: a record of this commit names the parent commit as verified head."""


class SignatureCheck:
    """Check of one ledger's signatures in one command."""

    def __init__(self, git: Git, name: str, say: Callable[[str], None]) -> None:
        """Keep the arguments; check nothing. `name`: the ledger's name in messages."""
        self._git = git
        self._name = name
        self._say = say
        self.judged: tuple[str, str] | None = None
        """Last commit whose signature was checked, and the first commit without an allowed signature."""

    def first_unsigned(
        self, seen: list[CheckedCommit], signers: Signers, known: LedgerState, *, seconds: float
    ) -> int | None:
        """Return the index of the first commit that no allowed signer signed or vouched for, or None.

        Signatures that an earlier command checked are not checked again. Those commits stay unsigned, unless
        a later commit vouches for them.

        Raises:
            LedgerShallow: the clone begins at a commit that no allowed signer vouches for.
        """
        places = {each.commit: place for place, each in enumerate(seen)}
        tip, first = known.judged or ("", "")
        judged = places.get(tip, -1) if first in places else -1
        bad, place = None, len(seen)
        begins = known.start is not None and known.commit == known.start
        deadline = time.monotonic() + seconds
        for signature in self._newest_first(seen[judged + 1 :], signers):
            place -= 1
            if not signers.allow(signature):
                bad = place
            elif seen[place].vouches:
                break
            if place > 0 and time.monotonic() > deadline:
                if begins:
                    raise self._unvouched(known)
                return 0
        else:
            if begins:
                raise self._unvouched(known)
            bad = places[first] if judged >= 0 else bad
        self.judged = (seen[-1].commit, seen[bad].commit) if bad is not None else None
        return bad

    def _newest_first(self, seen: list[CheckedCommit], signers: Signers) -> Iterator[Signature]:
        end, chunks = len(seen), iter(_CHUNKS)
        size = 1
        while end > 0:
            size = next(chunks, size)
            if size == _CHUNKS[-1] and end > SAID:
                self._say(f"checking the signatures of {end} commits of the ledger {self._name}")
            commits = [each.commit for each in seen[max(0, end - size) : end]]
            yield from reversed(read_signatures(self._git, signers, commits))
            end -= len(commits)

    def _unvouched(self, known: LedgerState) -> LedgerShallow:
        return LedgerShallow(
            f"prove the ledger {self._name} from the commit {known.commit}",
            "no allowed signer vouches for the commits before this one",
            "fetch the rest: git fetch --unshallow",
        )
