"""Signing keys of the tests: git's settings for them, and the file of allowed signers."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.unit.repository import Repository

SIGNERS: Final = ".release-signers"


def use(repository: Repository, key: Path) -> None:
    """Let git sign with this ssh key."""
    repository.git("config", "gpg.format", "ssh")
    repository.git("config", "user.signingKey", str(key))


def sign_with_ada(repository: Repository, keys: Path) -> None:
    """Let git sign with Ada's key, and let Ada alone sign."""
    repository.write(SIGNERS, f"ada@example.org {(keys / 'ada.pub').read_text()}")
    use(repository, keys / "ada")
