"""Signatures of the ledger's commits: git's own, judged by git.

Git tells a signature by one letter (git-log, "PRETTY FORMATS", `%G?`) and the key by its fingerprint
(`%GF`). Only what the settings allow counts as good here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from release.config import Ledger as Settings
from release.errors import LedgerError
from release.git import Git
from release.values import Struct

FORMAT: Final = "%G?|%GF"
"""Format of git for each commit's signature."""

UNCHECKED: Final = "!"
"""Letter of a signature that git could not check to its end."""

_SSH: Final = "SHA256:"
_STATES: Final = {
    UNCHECKED: "git ended during the check of the signature, which is malformed",
    "B": "the signature is not of this commit",
    "E": "this machine cannot check the signature: its key is not known",
    "N": "git on this machine cannot check this kind of signature",
    "R": "the key was revoked",
    "U": "the key is not in the list of allowed signers",
    "X": "the signature has expired",
    "Y": "the key has expired",
}


class Signature(Struct, frozen=True, kw_only=True):
    """Answer of git on one commit's signature: its letter, and the key's fingerprint if it is known."""

    letter: str
    fingerprint: str

    @classmethod
    def parse(cls, text: str) -> Signature:
        """From the text of `FORMAT`."""
        letter, _, fingerprint = text.partition("|")
        return cls(letter=letter, fingerprint=fingerprint)


class Signers(Struct, frozen=True, kw_only=True):
    """Signers of the ledger's commits.

    Without a file these are whom this machine knows: the keys of the gpg keyring, and the file that git's own
    setting `gpg.ssh.allowedSignersFile` names.
    """

    file: Path | None

    @classmethod
    def of(cls, root: Path, settings: Settings) -> Signers | None:
        """Those of the settings; None where nothing is said of signatures.

        Raises:
            LedgerError: there is no such file.
        """
        if not (settings.sign or settings.allowed_signers or settings.require_signed):
            return None
        if settings.allowed_signers is None:
            return cls(file=None)
        file = root / settings.allowed_signers
        if not file.is_file():
            raise LedgerError(
                f"read the allowed signers of the ledger in {settings.allowed_signers}",
                "this file does not exist",
                "write a line for each signer, as `ada@example.org ssh-ed25519 AAAA…` "
                '(ssh-keygen(1), "ALLOWED SIGNERS")',
            )
        return cls(file=file)

    @property
    def options(self) -> tuple[str, ...]:
        """Words for git before its command."""
        return ("-c", f"gpg.ssh.allowedSignersFile={self.file}") if self.file is not None else ()

    def allow(self, signature: Signature) -> bool:
        """Return whether the signature is good, and one of ours.

        The keys of a gpg keyring count as they are, without gpg's web of trust; with a file, only its keys.
        """
        is_ssh = signature.fingerprint.startswith(_SSH)
        if self.file is not None:
            return signature.letter == "G" and is_ssh
        return signature.letter == "G" or (signature.letter == "U" and not is_ssh)

    def found(self, signature: Signature) -> str:
        """Return what is wrong with a signature that is not allowed, in words."""
        if signature.letter == "G" or (signature.letter == "U" and self.file is not None):
            where = self.file.name if self.file is not None else "the keys of this machine"
            return f"the signing key {signature.fingerprint} is not in {where}"
        key = f" (key {signature.fingerprint})" if signature.fingerprint else ""
        return _STATES.get(signature.letter, f"git calls the signature {signature.letter!r}") + key


def is_signed(git: Git, commit: str) -> bool:
    """Return whether a commit carries a signature at all: git answers N also where it cannot check one.

    Raises ReleaseError: the commit is damaged or too large to be read.
    """
    found = git.object(commit)
    head = found[1].partition(b"\n\n")[0] if found is not None else b""
    return any(line.startswith((b"gpgsig ", b"gpgsig-sha256 ")) for line in head.split(b"\n"))


def read_signatures(git: Git, signers: Signers, commits: Sequence[str]) -> list[Signature]:
    """Return the signature of each commit; one that ends git itself is UNCHECKED."""
    answer = git.run(
        *(*signers.options, "log", "--no-walk=unsorted", "--stdin", "--no-show-signature"),
        *("--no-notes", "--no-color", f"--format=%H|{FORMAT}"),
        stdin="".join(f"{commit}\n" for commit in commits).encode(),
    )
    rows = [line.partition("|") for line in answer.text.splitlines()]
    if answer.status == 0 and [commit for commit, _, _ in rows] == list(commits):
        return [Signature.parse(text) for _, _, text in rows]
    if len(commits) == 1:
        return [Signature(letter=UNCHECKED, fingerprint="")]
    half = len(commits) // 2
    return [*read_signatures(git, signers, commits[:half]), *read_signatures(git, signers, commits[half:])]
