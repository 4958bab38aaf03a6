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


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """The reader can look at it and move it away."""
    outbox = Outbox(tmp_path)
    outbox.put(event("1" * 64))
    file = next(tmp_path.iterdir())
    file.write_bytes(b"{")
    with pytest.raises(LedgerError, match="damaged") as caught:
        outbox.kept()
    assert str(file) in str(caught.value)
