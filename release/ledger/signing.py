"""Signatures of the ledger's commits, made and verified by git.

Git prints the state of a signature as one letter (git-log, "PRETTY FORMATS", `%G?`), and the fingerprint of
the key (`%GF`). A signature is good only if the settings allow its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from release.config import Ledger as Settings
from release.errors import LedgerError
from release.git.runner import Git
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
    """Signature of one commit by git: its letter, and the key's fingerprint if git knows the key."""

    letter: str
    fingerprint: str

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Parse the text that git prints for `FORMAT`."""
        letter, _, fingerprint = text.partition("|")
        return cls(letter=letter, fingerprint=fingerprint)


class Signers(Struct, frozen=True, kw_only=True):
    """Allowed signers of the ledger's commits.

    Without a file, they are the keys of the machine's gpg keyring, and those in the file of git's setting
    `gpg.ssh.allowedSignersFile`.
    """

    file: Path | None

    @classmethod
    def of(cls, root: Path, settings: Settings) -> Signers | None:
        """Return the signers of the settings; None if the settings do not require signatures.

        Raises:
            LedgerError: the file of allowed signers does not exist.
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
        """Return the options for git, before git's command."""
        return ("-c", f"gpg.ssh.allowedSignersFile={self.file}") if self.file is not None else ()

    def allow(self, signature: Signature) -> bool:
        """Return whether the signature is good and by an allowed signer.

        All keys of a gpg keyring are allowed, without gpg's web of trust. With a file, only its keys are.
        """
        is_ssh = signature.fingerprint.startswith(_SSH)
        if self.file is not None:
            return signature.letter == "G" and is_ssh
        return signature.letter == "G" or (signature.letter == "U" and not is_ssh)

    def found(self, signature: Signature) -> str:
        """Return the reason why a signature is not allowed, as text."""
        if signature.letter == "G" or (signature.letter == "U" and self.file is not None):
            where = self.file.name if self.file is not None else "the keys of this machine"
            return f"the signing key {signature.fingerprint} is not in {where}"
        key = f" (key {signature.fingerprint})" if signature.fingerprint else ""
        return _STATES.get(signature.letter, f"git calls the signature {signature.letter!r}") + key


def is_signed(git: Git, commit: str) -> bool:
    """Return whether a commit has a signature. Git's letter N also means that git cannot check one.

    Raise ReleaseError if the commit is damaged or too large to be read.
    """
    found = git.object(commit)
    head = found[1].partition(b"\n\n")[0] if found is not None else b""
    return any(line.startswith((b"gpgsig ", b"gpgsig-sha256 ")) for line in head.split(b"\n"))


def read_signatures(git: Git, signers: Signers, commits: Sequence[str]) -> list[Signature]:
    """Return the signature of each commit; UNCHECKED for a commit that makes git fail."""
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
