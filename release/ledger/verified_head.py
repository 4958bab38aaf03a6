"""Verified head of a ledger, kept beside it: the commit that this clone proved, and the state there.

The file is `.git/release/verified/<plain or signed>/<remote>/<branch>`, sealed with the clone's key. A file
that does not fit is ignored: the ledger is then proved from its first commit again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from release.errors import LedgerError, ReleaseError
from release.files.hmac_key import BadSeal, ClonesKey
from release.ledger.audit import LedgerState
from release.ledger.genesis import Home, Lineage
from release.ledger.signing import Signers
from release.parsing import jsontext
from release.values import Struct

_RULES: Final = 1
"""Number of the set of rules; a file that was written under another one does not count."""
_PURPOSE: Final = "verified head"
_SIGNER: Final = "own signer"


class Policy(Struct, frozen=True, kw_only=True):
    """Conditions for the use of a ledger."""

    signers: Signers | None = None
    """Signers that are required; None: signatures are not required."""
    home: Home = Home()
    tip: bool = False
    """True: a clone without a verified head may begin at the newest commits, as in a CI job."""

    def fingerprint(self) -> str:
        """Return a hash of the rules, the signers and the ledger's configured id."""
        signers = self.signers
        keys = "" if signers is None else _content(signers.file)
        words = (_RULES, signers is not None, keys, self.home.ledger)
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def _content(file: Path | None) -> str:
    if file is None:
        return "keys of this machine"
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        found = error.strerror or str(error)
        raise LedgerError(
            f"read the allowed signers in {file.name}", found, f"check its permissions: ls -l {file.name}"
        ) from error


class Memory:
    """File with the verified head of one ledger in one clone."""

    def __init__(self, git_dir: Path, remote: str | None, branch: str, policy: Policy) -> None:
        """Keep the arguments; read nothing."""
        kind = "plain" if policy.signers is None else "signed"
        self._git_dir = git_dir
        self._path = git_dir / "release" / "verified" / kind / (remote or "local") / branch
        self._fingerprint = policy.fingerprint()

    def knows_signer(self, key: str) -> bool:
        """Return whether an earlier command found signatures of this key allowed under this policy."""
        return self._read(self._signer_path, _SIGNER) == f"{self._fingerprint} {key}".encode()

    def keep_signer(self, key: str) -> None:
        """Write that signatures of this key are allowed under this policy."""
        self._write(self._signer_path, f"{self._fingerprint} {key}".encode(), _SIGNER)

    @property
    def _signer_path(self) -> Path:
        return self._git_dir / "release" / "verified" / "signer"

    def load(self, policy: Policy) -> LedgerState | None:
        """Return the state at the verified head; None if there is none under this policy."""
        try:
            data = jsontext.read_object(self._read(self._path, _PURPOSE))
        except ValueError:
            return None
        if data.get("policy") != self._fingerprint or (data.get("start") and not policy.tip):
            return None
        return _state(data, policy.home)

    def save(self, state: LedgerState) -> None:
        """Write a state. Ignore a full disk: the next command then needs a longer proof."""
        content = json.dumps({"policy": self._fingerprint, **_data(state)}).encode()
        self._write(self._path, content, _PURPOSE)

    def _read(self, path: Path, purpose: str) -> bytes:
        """Return the content of a sealed file; empty if the file is missing or its seal is wrong."""
        try:
            return ClonesKey.of(self._git_dir).open(path.read_bytes(), purpose)
        except (OSError, BadSeal, ReleaseError):
            return b""

    def _write(self, path: Path, content: bytes, purpose: str) -> None:
        unnamed = path.with_name(f".{secrets.token_hex(8)}")
        with suppress(OSError, ReleaseError):
            sealed = ClonesKey.of(self._git_dir).seal(content, purpose)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                descriptor = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(sealed)
                unnamed.replace(path)
            finally:
                unnamed.unlink(missing_ok=True)


def _data(state: LedgerState) -> dict[str, Any]:
    lineage = state.lineage
    return {
        "commit": state.commit,
        "seconds": state.seconds,
        "last": {service: list(place) for service, place in state.last.items()},
        "ledger": lineage.ledger,
        "bound": sorted(lineage.bound),
        "older": sorted(lineage.older),
        "judged": list(state.judged) if state.judged is not None else [],
        "start": state.start,
    }


def _state(data: Mapping[str, Any], home: Home) -> LedgerState:
    lineage = Lineage(
        ledger=data["ledger"], bound=frozenset(data["bound"]), older=frozenset(data["older"]), home=home
    )
    last = {service: (int(seq), str(record)) for service, (seq, record) in data["last"].items()}
    judged = tuple(data.get("judged") or ())
    return LedgerState(
        commit=data["commit"],
        seconds=data["seconds"],
        last=last,
        lineage=lineage,
        judged=(judged[0], judged[1]) if len(judged) == 2 else None,
        start=data.get("start"),
    )
