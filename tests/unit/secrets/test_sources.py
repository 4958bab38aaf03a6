"""Where secrets come from."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from release.config import Secret
from release.secrets.sources import resolve_secrets

CANARY = "canary-7f3a9c"


def read(source: Secret, root: Path, **environ: str) -> str:
    values, missing = resolve_secrets({"TOKEN": source}, root=root, environ=environ)
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
    """The standard error is told, by the one place that prints."""
    code = f"import sys; print({CANARY!r}); print('unlocked', file=sys.stderr)"
    told: list[str] = []
    source = Secret(from_command=(sys.executable, "-c", code))
    values, _ = resolve_secrets({"TOKEN": source}, root=tmp_path, environ={}, tell=told.append)
    assert values["TOKEN"].reveal() == CANARY
    assert told[1:] == [f"`{sys.executable}`: unlocked"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.attack(
    "a program of `from_command` writes the secret, or another one, to standard error",
    "its standard error is shown after its end, with the value and all known secrets masked",
)
@pytest.mark.parametrize(
    ("script", "seen"),
    [
        ("echo trace $V >&2; echo $V", "`sh`: trace ***"),
        ("echo fetched for $OTHER >&2; echo $V", "`sh`: fetched for ***"),
        ("echo $V; echo refused $V >&2; exit 3", "`sh`: refused ***"),
        ("echo $V; echo waiting $V >&2; sleep 60 & wait", "`sh`: waiting ***"),
        ("printf '%s' $V; printf '%s' $V | base64 >&2", "`sh`: ***=="),
    ],
    ids=["traced", "another's", "failed", "stopped", "encoded"],
)
def test_the_standard_error_of_a_command_shows_no_secret(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], script: str, seen: str
) -> None:
    """Also of a command that fails, or that is stopped after it wrote the value."""
    told: list[str] = []
    values = f"V={CANARY}; OTHER=other-secret-1;"
    sources = {
        "OTHER": Secret(from_env="OTHER"),
        "TOKEN": Secret(from_command=("sh", "-c", f"{values} {script}"), timeout="1s"),  # type: ignore[arg-type]
    }
    resolve_secrets(sources, root=tmp_path, environ={"OTHER": "other-secret-1"}, tell=told.append)
    assert told[-1] == seen
    assert CANARY not in "".join(told)
    assert capfd.readouterr() == ("", "")


def test_endless_standard_error_is_cut(tmp_path: Path) -> None:
    """Its last lines are told; the program never waits for a reader."""
    told: list[str] = []
    noisy = Secret(from_command=("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo value"))
    values, missing = resolve_secrets({"TOKEN": noisy}, root=tmp_path, environ={}, tell=told.append)
    assert (values["TOKEN"].reveal(), missing) == ("value", ())
    assert sum(map(len, told)) < 100_000


def test_a_command_that_does_not_end_is_stopped_and_told(tmp_path: Path) -> None:
    """With its children; which secret takes its time is said before."""
    told: list[str] = []
    stuck = Secret(from_command=("sh", "-c", f"echo {CANARY}; sleep 60 & wait"), timeout="300ms")  # type: ignore[arg-type]
    begin = time.monotonic()
    values, (missing,) = resolve_secrets({"TOKEN": stuck}, root=tmp_path, environ={}, tell=told.append)
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
    values, missing = resolve_secrets(sources, root=tmp_path, environ={"EMPTY": "", "GOOD": CANARY})
    assert [item.name for item in missing] == ["UNSET", "EMPTY", "ABSENT", "FAILING", "UNKNOWN", "SILENT"]
    assert list(values) == ["GOOD"]
    assert CANARY not in repr((values, missing))
    assert "status 3" in missing[3].reason
