"""Where secrets come from."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from release.config import Secret
from release.secret import resolve

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


def test_a_command_that_does_not_end_is_stopped_and_told(tmp_path: Path) -> None:
    """With its children; which secret takes its time is said before."""
    told: list[str] = []
    stuck = Secret(from_command=("sh", "-c", f"echo {CANARY}; sleep 60 & wait"), timeout="300ms")  # type: ignore[arg-type]
    begin = time.monotonic()
    values, (missing,) = resolve({"TOKEN": stuck}, root=tmp_path, environ={}, tell=told.append)
    assert time.monotonic() - begin < 10
    assert values == {}
    assert told == ["reading the secret TOKEN from `sh`"]
    assert missing.name == "TOKEN"
    assert "`sh` did not end within 0.3 s" in missing.reason
    assert CANARY not in missing.reason


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
