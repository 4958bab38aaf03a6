"""Events that wait: one file each, whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from release.errors import LedgerError
from release.ledger.outbox import Outbox
from tests.unit.ledger import samples
from tests.unit.ledger.samples import event


def test_events_come_back_in_the_order_they_came(tmp_path: Path) -> None:
    """Whatever their times say."""
    outbox = Outbox(tmp_path / "unsynced")
    drafts = [event("1" * 64, deployment=str(n), at=samples.moment(10 - n)) for n in range(3)]
    for draft in drafts:
        outbox.put(draft)
    assert [kept.draft for kept in Outbox(tmp_path / "unsynced").kept()] == drafts


def test_the_same_event_is_kept_once(tmp_path: Path) -> None:
    """Putting it again changes nothing."""
    outbox = Outbox(tmp_path)
    outbox.put(event("1" * 64))
    outbox.put(event("1" * 64))
    assert len(outbox.kept()) == 1


def test_dropped_events_are_gone(tmp_path: Path) -> None:
    """Also when another process has dropped them already."""
    outbox = Outbox(tmp_path)
    outbox.put(event("1" * 64))
    kept = outbox.kept()
    outbox.drop(kept)
    outbox.drop(kept)
    assert outbox.kept() == ()


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: an error that says so, and nothing half-written."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LedgerError, match="No space left") as caught:
        Outbox(tmp_path).put(event("1" * 64))
    assert "not recorded anywhere" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_named_with_what_helps(tmp_path: Path) -> None:
    """Another user's file, here a folder in its place, or a folder that is none: never a bare error."""
    (tmp_path / "000000001-0123456789abcdef.json").mkdir()
    with pytest.raises(LedgerError, match=r"000000001-.*Is a directory") as caught:
        Outbox(tmp_path).kept()
    assert "sudo chown" in caught.value.hint
    (tmp_path / "file").write_text("")
    for use in (Outbox.kept, lambda outbox: outbox.put(event("1" * 64))):
        with pytest.raises(LedgerError, match="Not a directory"):
            use(Outbox(tmp_path / "file"))


def test_an_event_that_never_came_about_is_withdrawn_alone(tmp_path: Path) -> None:
    """Those before it wait on."""
    outbox = Outbox(tmp_path)
    for number in "12":
        outbox.put(event(number * 64))
    outbox.withdraw([event("2" * 64)])
    assert [kept.draft for kept in outbox.kept()] == [event("1" * 64)]


def test_an_event_that_cannot_be_forgotten_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the ledger, and found there."""
    outbox = Outbox(tmp_path)
    outbox.put(event("1" * 64))

    def refusing(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refusing)
    outbox.drop(outbox.kept())
    with pytest.raises(LedgerError, match="Permission denied"):
        outbox.withdraw([event("1" * 64)])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """The reader can look at it and move it away."""
    outbox = Outbox(tmp_path)
    outbox.put(event("1" * 64))
    file = next(tmp_path.iterdir())
    file.write_bytes(b"{")
    with pytest.raises(LedgerError, match="damaged") as caught:
        outbox.kept()
    assert str(file) in str(caught.value)
