"""Where secrets come from, and what their fingerprints tell."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from release.config import Secret
from release.deploy.secrets import KEY_VARIABLE, FingerprintKey, compare, resolve
from release.redact import Redacted

CANARY = "canary-7f3a9c"


def read(source: Secret, root: Path, **environ: str) -> str:
    values, missing = resolve({"TOKEN": source}, root=root, environ=environ)
    assert not missing
    return values["TOKEN"].reveal()


def test_a_secret_comes_from_a_variable(tmp_path: Path) -> None:
    """The operator's environment."""
    assert read(Secret(from_env="PROD_TOKEN"), tmp_path, PROD_TOKEN=CANARY) == CANARY


def test_a_secret_comes_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    """Relative to the repository; only one newline is dropped."""
    (tmp_path / "token").write_text(f"{CANARY}\n\n")
    assert read(Secret(from_file="token"), tmp_path) == f"{CANARY}\n"


def test_only_the_standard_output_of_a_command_is_the_value(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it says on standard error goes to the operator."""
    code = f"import sys; print({CANARY!r}); print('unlocked', file=sys.stderr)"
    assert read(Secret(from_command=(sys.executable, "-c", code)), tmp_path) == CANARY
    assert capfd.readouterr().err == "unlocked\n"


def test_every_secret_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    """With its reason, and without a trace of any value, also of a command that fails after writing it."""
    failing = (sys.executable, "-c", f"print({CANARY!r}); raise SystemExit(3)")
    sources = {
        "UNSET": Secret(from_env="NOT_SET"),
        "EMPTY": Secret(from_env="EMPTY"),
        "ABSENT": Secret(from_file="absent"),
        "FAILING": Secret(from_command=failing),
        "UNKNOWN": Secret(from_command=("no-such-program-anywhere",)),
        "SILENT": Secret(from_command=(sys.executable, "-c", "")),
        "GOOD": Secret(from_env="GOOD"),
    }
    values, missing = resolve(sources, root=tmp_path, environ={"EMPTY": "", "GOOD": CANARY})
    assert [item.name for item in missing] == ["UNSET", "EMPTY", "ABSENT", "FAILING", "UNKNOWN", "SILENT"]
    assert list(values) == ["GOOD"]
    assert CANARY not in repr((values, missing))
    assert "status 3" in missing[3].reason


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
