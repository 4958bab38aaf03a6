"""What is kept of gates that passed: when it is used again, and when it is not trusted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from release.chain import passes
from release.chain.passes import KEPT, Pass, Passes, key_of
from release.records import Gate

KEY = key_of("test", {"image": "one"})


def made(*, age: timedelta = timedelta(minutes=2), evidence: bytes = b"\xff seen") -> Pass:
    started = (datetime.now(UTC) - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    gate = Gate(
        name="test",
        status="passed",
        started=started,
        duration_ms=1200,
        evidence_sha256=hashlib.sha256(evidence).hexdigest(),
        run="20261122T120000-00000000",
    )
    return Pass(gate=gate, summary="12 passed", evidence=evidence, data={"junit": None})


def the_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_a_pass_is_found_as_it_was_kept(tmp_path: Path) -> None:
    """Gate, phrase, evidence and the stage's own data."""
    kept, passed = Passes(tmp_path / "passed"), made()
    kept.keep(KEY, passed)
    assert kept.find("test", KEY) == passed


def test_other_inputs_are_another_pass(tmp_path: Path) -> None:
    """Every input is part of the key, and so is the gate."""
    kept = Passes(tmp_path)
    kept.keep(KEY, made())
    assert kept.find("test", key_of("test", {"image": "two"})) is None
    assert key_of("smoke", {"image": "one"}) != KEY


def test_another_version_of_this_library_is_another_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that was not released: its own files are part of every key."""
    monkeypatch.setattr(passes, "_own_code", lambda: "other code")
    assert key_of("test", {"image": "one"}) != KEY


def test_the_order_of_inputs_is_no_input() -> None:
    """The same facts give the same key."""
    assert key_of("test", {"a": 1, "b": 2}) == key_of("test", {"b": 2, "a": 1})


@pytest.mark.parametrize("age", [timedelta(hours=25), timedelta(minutes=-5)], ids=["old", "of the future"])
def test_only_a_recent_pass_counts(tmp_path: Path, age: timedelta) -> None:
    """What no key knows moves on, as package indexes do; and a clock may have been wrong."""
    kept = Passes(tmp_path)
    kept.keep(KEY, made(age=age))
    assert kept.find("test", KEY) is None


def _sealed(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _edited(content: bytes, key: str, value: object) -> bytes:
    data = json.loads(content.partition(b"\n")[2])
    return _sealed(json.dumps(data | {key: value}).encode())


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[:-10],
    "empty": lambda content: b"",
    "one byte changed": lambda content: content.replace(b"12 passed", b"99 passed"),
    "not JSON": lambda content: _sealed(b"{"),
    "another shape": lambda content: _sealed(b"[]"),
    "not text": lambda content: b"\xff\n\xff",
    "of another key": lambda content: _edited(content, "key", "0" * 64),
    "other evidence": lambda content: _edited(content, "evidence", "AAAA"),
    "evidence that is no base64": lambda content: _edited(content, "evidence", "!"),
    "no gate": lambda content: _edited(content, "gate", {}),
    "no data": lambda content: _edited(content, "data", None),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_as_if_it_were_not_there(tmp_path: Path, damage: str) -> None:
    """The gate then runs again, and what it saw takes the file's place."""
    kept, file = Passes(tmp_path), None
    kept.keep(KEY, made())
    file = the_file(tmp_path)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert kept.find("test", KEY) is None
    kept.keep(KEY, made())
    assert kept.find("test", KEY) is not None


def test_a_file_under_another_name_is_not_used(tmp_path: Path) -> None:
    """A pass of one gate does not pass another."""
    kept = Passes(tmp_path)
    kept.keep(KEY, made())
    the_file(tmp_path).rename(tmp_path / f"smoke-{KEY}.json")
    assert kept.find("smoke", KEY) is None


def test_no_more_are_kept_than_are_of_use(tmp_path: Path) -> None:
    """The oldest go, and so does what a killed run left half written."""
    kept = Passes(tmp_path)
    unfinished = tmp_path / ".0011223344556677"
    unfinished.write_bytes(b"half")
    for number in range(KEPT):
        old = tmp_path / f"test-{number:064x}.json"
        old.write_bytes(b"")
        os.utime(old, (number, number))
    os.utime(unfinished, (0, 0))
    kept.keep(KEY, made())
    names = {file.name for file in tmp_path.iterdir()}
    assert len(names) == KEPT
    assert f"test-{KEY}.json" in names
    assert not {f"test-{0:064x}.json", unfinished.name} & names
