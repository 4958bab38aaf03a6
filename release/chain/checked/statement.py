"""The result of a check as a text, and the signed git commit that carries it.

Git signs commits and checks signatures, so a statement is the message of a commit with an empty tree and no
parent: no other commit that somebody signs looks like that. No reference names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from release.errors import ReleaseError
from release.git.runner import Git
from release.ledger.signing import Signers, is_signed, read_signatures
from release.parsing import jsontext
from release.records import Actor
from release.reference import Digest
from release.values import Struct

LARGEST: Final = 256 * 1024
"""Most bytes of a signed statement."""

_SUBJECT: Final = "The gates of this tree passed"
_SKEW: Final = timedelta(minutes=5)
"""Tolerated difference between clocks."""


class StatementRefused(Exception):
    """Raised for a statement that does not count. The text is the reason."""


class PassedGate(Struct, frozen=True, kw_only=True):
    """A gate in a statement: the key of its inputs, and the digest of its result."""

    key: str
    result: Digest
    size: int


class CheckStatement(Struct, frozen=True, kw_only=True):
    """Result of a check: the tree, and the gates that passed."""

    service: str
    repository: str
    tree: str
    issued: str
    """Time of the statement, RFC 3339, UTC."""
    commit: str
    run: str
    cache: str | None
    """Digest of the build cache that the check wrote."""
    gates: Mapping[str, PassedGate]
    signer: str = ""
    """Fingerprint of the signing key, once the signature is verified."""

    def to_text(self) -> str:
        """Return the message of the commit."""
        data = {
            "service": self.service,
            "repository": self.repository,
            "tree": self.tree,
            "issued": self.issued,
            "commit": self.commit,
            "run": self.run,
            "cache": self.cache,
            "gates": {
                name: {"key": gate.key, "result": gate.result.text, "size": gate.size}
                for name, gate in self.gates.items()
            },
        }
        return f"{_SUBJECT}\n\n{json.dumps(data, sort_keys=True, indent=1)}\n"

    @classmethod
    def parse(cls, message: str, signer: str) -> CheckStatement:
        """Parse the message of a commit. Raises StatementRefused."""
        subject, _, text = message.partition("\n\n")
        if subject != _SUBJECT:
            raise StatementRefused("it is another commit of the signer")
        try:
            data = jsontext.read_object(text)
            gates = {
                str(name): PassedGate(
                    key=str(gate["key"]), result=Digest(str(gate["result"])), size=int(gate["size"])
                )
                for name, gate in data["gates"].items()
            }
            words = {name: str(data[name]) for name in _WORDS}
            cache = Digest(data["cache"]).text if data["cache"] is not None else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StatementRefused("its text is not a result of a check") from error
        return cls(**words, cache=cache, gates=gates, signer=signer)

    def refuse_unfit(self, service: str, repository: str, tree: str, max_age: timedelta) -> None:
        """Refuse a statement that is old, or about another service, repository or tree.

        Raises:
            StatementRefused: with the reason.
        """
        for what, found, wanted in (
            ("service", self.service, service),
            ("repository", self.repository, repository),
            ("tree", self.tree, tree),
        ):
            if found != wanted:
                raise StatementRefused(f"it is about another {what}: {found}")
        if not is_recent(self.issued, max_age):
            raise StatementRefused(f"it was signed at {self.issued}, outside of reuse.max_age")


_WORDS: Final = ("service", "repository", "tree", "issued", "commit", "run")


def is_recent(moment: str, max_age: timedelta) -> bool:
    """Return whether a time is at most this old, and not in the future."""
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(moment)
    except (ValueError, TypeError):
        return False
    return -_SKEW <= age <= max_age


def can_sign(git: Git) -> bool:
    """Return whether git has a key to sign with."""
    names = r"^(user\.signingkey|gpg\.ssh\.defaultkeycommand)$"
    return git.run("config", "--get-regexp", names).status == 0


def sign_statement(git: Git, statement: CheckStatement, actor: Actor, signers: Signers) -> bytes:
    """Return a commit with the statement, signed with git's key.

    Raises ReleaseError: git has no trusted key.
    """
    attempted = "sign the result of this check"
    env = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", actor.name), ("EMAIL", actor.email))
    }
    written = git.run(
        *("-c", "i18n.commitEncoding=UTF-8", "commit-tree", "--gpg-sign", _write_empty_tree(git)),
        stdin=statement.to_text().encode(),
        env=env,
    )
    hint = "check git's key: git config --get-regexp 'gpg|signingkey'; and add it to reuse.trusted_signers"
    if written.status != 0:
        raise ReleaseError(attempted, written.words, hint)
    (signature,) = read_signatures(git, signers, [written.text])
    if not signers.allow(signature):
        raise ReleaseError(attempted, signers.found(signature), hint)
    found = git.object(written.text)
    assert found is not None  # noqa: S101 - git has just written it
    return found[1]


def verify_statement(git: Git, commit: bytes, signers: Signers) -> CheckStatement:
    """Return the statement of a signed commit. Raises StatementRefused: no trusted key signed the commit."""
    head, _, message = commit.partition(b"\n\n")
    lines = head.split(b"\n")
    if lines[0] != f"tree {_write_empty_tree(git)}".encode() or any(
        line.startswith(b"parent ") for line in lines
    ):
        raise StatementRefused("it is not a result of a check")
    written = git.run("hash-object", "-t", "commit", "-w", "--stdin", stdin=commit)
    if written.status != 0:
        raise StatementRefused("it is no commit that git reads")
    if not is_signed(git, written.text):
        raise StatementRefused("it is not signed")
    (signature,) = read_signatures(git, signers, [written.text])
    if not signers.allow(signature):
        raise StatementRefused(signers.found(signature))
    return CheckStatement.parse(message.decode("utf-8", "replace"), signature.fingerprint)


def _write_empty_tree(git: Git) -> str:
    return git.run("mktree", stdin=b"").text


def read_signers(content: bytes, path: Path) -> Signers:
    """Return the signers of a committed file, which git reads from `path`. Raises OSError."""
    path.write_bytes(content)
    path.chmod(0o600)
    return Signers(file=path)
