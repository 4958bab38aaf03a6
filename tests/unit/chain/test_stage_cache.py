"""What is kept of gates that passed: when it is used again, and when it is not trusted."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from release.chain import stage_cache
from release.chain.stage_cache import KEPT, CachedResult, StageCache, cache_key
from release.files.hmac_key import BadSeal, ClonesKey
from release.records import Gate

KEY = cache_key("test", {"image": "one"})


def made(*, age: timedelta = timedelta(minutes=2), evidence: bytes = b"\xff seen") -> CachedResult:
    started = (datetime.now(UTC) - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    gate = Gate(
        name="test",
        status="passed",
        started=started,
        duration_ms=1200,
        evidence_sha256=hashlib.sha256(evidence).hexdigest(),
        run="20261122T120000-00000000",
    )
    return CachedResult(gate=gate, summary="12 passed", evidence=evidence, data={"junit": None})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "passed"


@pytest.fixture
def kept(folder: Path) -> StageCache:
    """The passes of a clone."""
    return StageCache(folder, ClonesKey.of(folder.parent / "git"))


def the_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


def test_a_pass_is_found_as_it_was_kept(kept: StageCache) -> None:
    """Gate, phrase, evidence and the stage's own data."""
    passed = made()
    kept.store(KEY, passed)
    assert kept.find("test", KEY) == passed


def test_other_inputs_are_another_pass(kept: StageCache) -> None:
    """Every input is part of the key, and so is the gate."""
    kept.store(KEY, made())
    assert kept.find("test", cache_key("test", {"image": "two"})) is None
    assert cache_key("smoke", {"image": "one"}) != KEY


def test_another_version_of_this_library_is_another_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that was not released: its own files are part of every key."""
    monkeypatch.setattr(stage_cache, "_hash_library_files", lambda: "other code")
    assert cache_key("test", {"image": "one"}) != KEY


def test_the_order_of_inputs_is_no_input() -> None:
    """The same facts give the same key."""
    assert cache_key("test", {"a": 1, "b": 2}) == cache_key("test", {"b": 2, "a": 1})


@pytest.mark.parametrize("age", [timedelta(hours=25), timedelta(minutes=-5)], ids=["old", "of the future"])
def test_only_a_recent_pass_counts(kept: StageCache, age: timedelta) -> None:
    """What no key knows moves on, as package indexes do; and a clock may have been wrong."""
    kept.store(KEY, made(age=age))
    assert kept.find("test", KEY) is None


def hashed(content: bytes) -> bytes:
    """As a file was before seals: everybody can make one."""
    body = content.partition(b"\n")[2]
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[:-10],
    "empty": lambda _: b"",
    "one byte changed": lambda content: content.replace(b"12 passed", b"99 passed"),
    "hashed, not sealed": hashed,
    "not text": lambda _: b"\xff\n\xff",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.attack(
    "A commit or a cache brings a file .release/passed/test-<key>.json, made for the right key",
    "Only files with a seal of this clone's own key are read; the gate runs",
)
def test_a_file_without_this_clones_seal_is_refused(kept: StageCache, folder: Path, damage: str) -> None:
    """The gate then runs again, and what it saw takes the file's place."""
    kept.store(KEY, made())
    file = the_file(folder)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(BadSeal):
        kept.find("test", KEY)
    kept.store(KEY, made())
    assert kept.find("test", KEY) is not None


def test_a_pass_of_another_clone_is_refused(kept: StageCache, folder: Path, tmp_path: Path) -> None:
    """Its key is another one, so its seal is."""
    StageCache(folder, ClonesKey.of(tmp_path / "other")).store(KEY, made())
    with pytest.raises(BadSeal):
        kept.find("test", KEY)


ODD: dict[str, Callable[[dict[str, object]], object]] = {
    "another shape": lambda _: [],
    "of another key": lambda data: data | {"key": "0" * 64},
    "other evidence": lambda data: data | {"evidence": "AAAA"},
    "evidence that is no base64": lambda data: data | {"evidence": "!"},
    "no gate": lambda data: data | {"gate": {}},
    "no data": lambda data: data | {"data": None},
}


@pytest.mark.parametrize("odd", ODD)
def test_a_sealed_file_of_another_kind_is_as_if_it_were_not_there(
    kept: StageCache, folder: Path, odd: str
) -> None:
    """As one that was renamed, or that another version wrote."""
    kept.store(KEY, made())
    file, key = the_file(folder), ClonesKey.of(folder.parent / "git")
    data = json.loads(key.open(file.read_bytes(), "passed"))
    file.write_bytes(key.seal(json.dumps(ODD[odd](data)).encode(), "passed"))
    assert kept.find("test", KEY) is None


def test_a_file_under_another_name_is_not_used(kept: StageCache, folder: Path) -> None:
    """A pass of one gate does not pass another."""
    kept.store(KEY, made())
    the_file(folder).rename(folder / f"smoke-{KEY}.json")
    assert kept.find("smoke", KEY) is None


def test_a_link_is_not_followed(kept: StageCache, folder: Path) -> None:
    """Nor is a pipe waited for."""
    kept.store(KEY, made())
    file = the_file(folder)
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")
    assert kept.find("test", KEY) is None


def test_passes_belong_to_their_owner(kept: StageCache, folder: Path) -> None:
    """Also in a folder that an older version made, and whatever the umask is."""
    folder.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        kept.store(KEY, made())
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(the_file(folder).stat().st_mode) == 0o600


def test_no_more_are_kept_than_are_of_use(kept: StageCache, folder: Path) -> None:
    """The oldest go, and so does what a killed run left half written."""
    folder.mkdir()
    unfinished = folder / ".0011223344556677"
    unfinished.write_bytes(b"half")
    for number in range(KEPT):
        old = folder / f"test-{number:064x}.json"
        old.write_bytes(b"")
        os.utime(old, (number, number))
    os.utime(unfinished, (0, 0))
    kept.store(KEY, made())
    names = {file.name for file in folder.iterdir()}
    assert len(names) == KEPT
    assert f"test-{KEY}.json" in names
    assert not {f"test-{0:064x}.json", unfinished.name} & names
