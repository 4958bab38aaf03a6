"""Events that wait: one file each, whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from release.errors import LedgerError
from release.files.hmac_key import ClonesKey
from release.ledger.outbox import Outbox, content_without_seal, parse_event, read_event_file
from tests.unit.files.test_private import give_away
from tests.unit.ledger import samples
from tests.unit.ledger.samples import event


def unsynced(git_dir: Path) -> Path:
    return git_dir / "release" / "unsynced"


def test_events_come_back_in_the_order_they_came(tmp_path: Path) -> None:
    """Whatever their times say."""
    outbox = Outbox(tmp_path)
    drafts = [event("1" * 64, deployment=str(n), at=samples.moment(10 - n)) for n in range(3)]
    for draft in drafts:
        outbox.put(draft)
    assert [kept.draft for kept in Outbox(tmp_path).kept()] == drafts


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

    ClonesKey.of(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LedgerError, match="No space left") as caught:
        Outbox(tmp_path).put(event("1" * 64))
    assert "not recorded anywhere" in caught.value.hint
    assert list(unsynced(tmp_path).iterdir()) == []


def test_a_folder_that_cannot_be_read_is_named_with_what_helps(tmp_path: Path) -> None:
    """Another user's, or a file in its place: never a bare error."""
    (tmp_path / "release").mkdir()
    unsynced(tmp_path).write_text("")
    for use in (Outbox.kept, lambda outbox: outbox.put(event("1" * 64))):
        with pytest.raises(LedgerError, match="Not a directory") as caught:
            use(Outbox(tmp_path))
        assert "sudo chown" in caught.value.hint


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


# what is not this clone's


def _damaged(file: Path) -> None:
    file.write_bytes(b"{}")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _changed(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"production", b"productiom"))


def _unsealed(file: Path) -> None:
    """As an earlier version wrote it, or somebody with a cache of `.git`."""
    file.write_bytes(file.read_bytes().partition(b"\n")[2])


def _of_another_clone(file: Path) -> None:
    other = file.parent.parent.parent / "other"
    Outbox(other).put(event("2" * 64))
    (theirs,) = unsynced(other).iterdir()
    file.write_bytes(theirs.read_bytes())


def _a_release(file: Path) -> None:
    """Sealed all the same: as by a program that has the key."""
    content = samples.release("9.0.0").at(1, None).to_bytes()
    file.write_bytes(ClonesKey.of(file.parent.parent.parent).seal(content, "outbox"))


def _of_another_purpose(file: Path) -> None:
    key = ClonesKey.of(file.parent.parent.parent)
    file.write_bytes(key.seal(event("2" * 64).at(1, None).to_bytes(), "passed"))


def _linked(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def _huge(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.truncate(1 << 40)


@pytest.mark.parametrize(
    "spoil",
    [
        *(_damaged, _empty, _changed, _unsealed, _of_another_clone, _a_release, _of_another_purpose),
        *(_linked, _folder, _pipe, _huge),
    ],
)
@pytest.mark.attack(
    "A cache of .git brings a forged or damaged event into the folder of events that wait to be published",
    "An event waits only with this clone's seal; every other file is refused with one warning",
)
def test_a_file_that_this_clone_did_not_write_is_put_aside(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """Once, with a warning that names it; what this clone wrote stays, and a new event is kept."""
    for number in "13":
        Outbox(tmp_path).put(event(number * 64))
    spoiled = min(unsynced(tmp_path).iterdir())
    spoil(spoiled)
    told: list[str] = []
    outbox = Outbox(tmp_path, told.append)
    assert [kept.draft for kept in outbox.kept()] == [event("3" * 64)]
    (sentence,) = told
    assert str(outbox.refused / spoiled.name) in sentence
    assert f"invoke sync --adopt {spoiled.name}" in sentence
    outbox.put(event("4" * 64))
    assert [kept.draft for kept in outbox.kept()] == [event(number * 64) for number in "34"]
    assert len(told) == 1
    assert os.path.lexists(outbox.refused / spoiled.name)


def test_the_file_of_another_user_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a command that ran with sudo; where it lies, it can be given back and adopted."""
    Outbox(tmp_path).put(event("1" * 64))
    ClonesKey.of(tmp_path)
    (file,) = unsynced(tmp_path).iterdir()
    give_away(file, monkeypatch)
    told: list[str] = []
    assert Outbox(tmp_path, told.append).kept() == ()
    assert "belongs to another user" in told[0]


def test_a_key_that_cannot_be_used_holds_nothing_up(tmp_path: Path) -> None:
    """The process that kept an event publishes it; for the next one it is no proof."""
    key = tmp_path / "release" / "key"
    key.parent.mkdir()
    key.mkdir()
    told: list[str] = []
    outbox = Outbox(tmp_path, told.append)
    outbox.put(event("1" * 64))
    assert [kept.draft for kept in outbox.kept()] == [event("1" * 64)]
    assert "kept, but without a seal" in told[0]
    assert Outbox(tmp_path, told.append).kept() == ()
    assert len(list(unsynced(tmp_path).iterdir())) == 1
    key.rmdir()
    assert Outbox(tmp_path, told.append).kept() == ()
    assert list(unsynced(tmp_path).iterdir()) == []


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    """Their settings may hold what only a team may know."""
    Outbox(tmp_path).put(event("1" * 64))
    (file,) = unsynced(tmp_path).iterdir()
    assert [path.stat().st_mode & 0o777 for path in (file, file.parent)] == [0o600, 0o700]


def test_a_release_never_waits(tmp_path: Path) -> None:
    """Its record and its git tag land together."""
    with pytest.raises(TypeError, match="cannot wait"):
        Outbox(tmp_path).put(samples.release("1.0.0"))


def test_an_event_is_adopted_under_this_clones_seal(tmp_path: Path) -> None:
    """After a person has looked at it."""
    Outbox(tmp_path).put(event("1" * 64))
    (file,) = unsynced(tmp_path).iterdir()
    _unsealed(file)
    outbox = Outbox(tmp_path)
    assert outbox.kept() == ()
    (refused,) = outbox.refused.iterdir()
    draft = parse_event(content_without_seal(read_event_file(refused)), refused.name)
    outbox.adopt(refused, draft)
    assert [kept.draft for kept in Outbox(tmp_path).kept()] == [event("1" * 64)]
    assert list(outbox.refused.iterdir()) == []
