"""What the fingerprints of secrets tell."""

from __future__ import annotations

import stat
from pathlib import Path

from release.deploy.core.fingerprints import KEY_VARIABLE, FingerprintKey, compare
from release.secrets.redact import Redacted

CANARY = "canary-7f3a9c"


def test_a_fingerprint_tells_whether_a_secret_was_rotated(tmp_path: Path) -> None:
    """Equal for equal values, other for others, and the value is not in it."""
    key = FingerprintKey.load(tmp_path, {})
    before, same = key.fingerprint("A", Redacted(CANARY)), key.fingerprint("A", Redacted(CANARY))
    assert compare(before, same) == "same"
    assert compare(before, key.fingerprint("A", Redacted("other"))) == "rotated"
    assert CANARY not in before + repr(key)


def test_equal_values_of_two_secrets_have_two_fingerprints(tmp_path: Path) -> None:
    """A record does not show which secrets are equal."""
    key = FingerprintKey.load(tmp_path, {})
    assert key.fingerprint("A", Redacted(CANARY)) != key.fingerprint("B", Redacted(CANARY))


def test_fingerprints_of_two_keys_are_not_compared(tmp_path: Path) -> None:
    """Another key is not a rotation."""
    ours = FingerprintKey.load(tmp_path, {}).fingerprint("A", Redacted(CANARY))
    teams = FingerprintKey.load(tmp_path, {KEY_VARIABLE: "shared"}).fingerprint("A", Redacted(CANARY))
    assert compare(ours, teams) == "not comparable"


def test_the_key_is_made_once_for_a_clone_and_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """A file of mode 0600 under the git folder, and nothing left beside it."""
    names = {FingerprintKey.load(tmp_path, {}).name for _ in range(3)}
    (file,) = (tmp_path / "release").iterdir()
    assert len(names) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
