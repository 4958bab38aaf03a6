"""One deployment of an environment at a time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from release.deploy.core.lock import (
    LOCK,
    Holder,
    await_free,
    current_holder,
    drop,
    ensure_held,
    held_error,
    hold_lock,
)
from release.deploy.core.lock_store import EngineLockStore
from release.deploy.core.place import Place
from release.errors import EngineError, LockHeld, NameTaken
from release.events import Event, Notice, Warned
from release.images.engine import ContainerSpec
from release.values import replace
from tests.unit.deploy.fakes import INFO, FakeEngine, digest, holder_in, lock_labels, state

PLACE = Place(service="api", environment="production")


def lock_store(engine: FakeEngine) -> EngineLockStore:
    return EngineLockStore(engine=engine, image=digest("image"))


def holder(**changes: Any) -> Holder:
    made = Holder.here(who="Ada", url="https://ci.example/7", deployment="0" * 12, milliseconds=60_000)
    return replace(made, **changes)


def taken(engine: FakeEngine, by: Holder) -> None:
    engine.add(state(PLACE.lock, status="created", labels=PLACE.labels(LOCK) | lock_labels(by)))


def test_the_lock_is_a_container_that_is_never_started_and_gone_afterwards() -> None:
    """It is there while the block runs, with its holder in the labels."""
    engine, mine = FakeEngine(), holder()
    with hold_lock(lock_store(engine), PLACE, mine, print):
        (kept,) = engine.kept
        assert (kept.state.name, kept.state.status) == ("release-lock-api-production", "created")
        assert holder_in(kept.state.labels) == mine
    assert engine.names() == {}


def test_the_lock_is_gone_after_an_error() -> None:
    """Also one that no handler catches."""
    engine = FakeEngine()
    with pytest.raises(KeyboardInterrupt), hold_lock(lock_store(engine), PLACE, holder(), print):
        raise KeyboardInterrupt
    assert engine.names() == {}


def test_the_loser_is_told_who_holds_it_where_since_when_and_the_way_out() -> None:
    """And the winner's lock stays."""
    engine, other = FakeEngine(), holder(who="Grace", host="elsewhere", deployment="1" * 12)
    taken(engine, other)
    with pytest.raises(LockHeld) as caught, hold_lock(lock_store(engine), PLACE, holder(), print):
        raise AssertionError("the lock was given twice")
    text = str(caught.value)
    for part in ("Grace", "elsewhere", other.since, other.expires, "https://ci.example/7", PLACE.lock):
        assert part in text
    assert f"; the lock expires at {other.expires} ({PLACE.lock}). If" in text
    assert engine.names() == {PLACE.lock: "created"}
    assert current_holder(lock_store(engine), PLACE) == other


def test_the_loser_is_told_of_the_command_that_it_gave_and_of_ways_that_this_command_has() -> None:
    """`--wait` is for deployments and rollbacks."""
    engine = FakeEngine()
    taken(engine, other := holder(host="elsewhere", deployment="1" * 12))
    with (
        pytest.raises(LockHeld) as caught,
        hold_lock(lock_store(engine), PLACE, holder(), print, task="prune"),
    ):
        raise AssertionError("the lock was given twice")
    assert (caught.value.attempted, "--wait" in caught.value.hint) == ("prune api in production", False)
    assert "--wait" in held_error(PLACE, other).hint


def test_a_lock_that_is_gone_whenever_it_is_looked_at_names_nobody() -> None:
    """Others take it first all the time."""

    class Busy(FakeEngine):
        def create(self, spec: ContainerSpec) -> str:
            raise NameTaken(f"create {spec.name}", "it exists")

    told = pytest.raises(LockHeld, match=f"other deployments took the lock {PLACE.lock} first")
    with told, hold_lock(lock_store(Busy()), PLACE, holder(), print):
        raise AssertionError("the lock was given twice")


def test_a_lock_is_dropped_only_if_it_is_of_this_holder() -> None:
    """Whose it is by now keeps it."""
    engine, seen = FakeEngine(), holder(deployment="1" * 12)
    taken(engine, replace(seen, who="Grace"))
    assert not drop(lock_store(engine), PLACE, seen)
    assert engine.names() == {PLACE.lock: "created"}
    assert drop(lock_store(engine), PLACE, replace(seen, who="Grace"))
    assert not drop(lock_store(engine), PLACE, seen)


def expired() -> Holder:
    return holder(host="elsewhere", expires="2026-01-01T00:00:00+00:00", deployment="1" * 12)


def dead() -> Holder:
    """A process of this machine that has ended: its labels say what `/proc` said of it."""
    code = "import os; from release.programs.owner import process_identity; "
    code += "print(os.getpid(), process_identity(os.getpid()))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    pid, process = out.split()
    return holder(pid=pid, process=process, deployment="1" * 12)


def reused() -> Holder:
    """A living process under the number of one that has ended."""
    mine = holder()
    return replace(mine, process=re.sub(r"\d+$", "1", mine.process), deployment="1" * 12)


@pytest.mark.parametrize("left", [expired, dead, reused])
def test_a_lock_that_was_left_behind_is_taken_over_and_that_is_said(left: Any) -> None:
    """Expired, or of a local process that is gone, also when its number lives on."""
    engine, said = FakeEngine(), list[Event]()
    taken(engine, left())
    assert current_holder(lock_store(engine), PLACE) is None
    with hold_lock(lock_store(engine), PLACE, holder(), said.append):
        assert holder_in(engine.kept[0].state.labels).deployment == "0" * 12
    assert [type(event) for event in said] == [Warned]


def test_a_living_holder_of_this_machine_keeps_its_lock() -> None:
    """Its process is there, and it is the same one."""
    engine = FakeEngine()
    taken(engine, holder(pid=str(os.getpid()), deployment="1" * 12))
    with pytest.raises(LockHeld), hold_lock(lock_store(engine), PLACE, holder(), print):
        raise AssertionError("the lock was taken from a living process")


def test_a_process_number_of_another_machine_is_not_looked_up_here() -> None:
    """Only time ends the lock of another host."""
    assert not replace(dead(), host="elsewhere").dead()
    assert not replace(dead(), process="other-boot/other-space/1").dead()


def test_only_the_own_lock_is_given_back() -> None:
    """A lock that somebody else took over in between is theirs."""
    engine = FakeEngine()
    with hold_lock(lock_store(engine), PLACE, holder(), print):
        engine.kept.clear()
        taken(engine, holder(deployment="2" * 12))
    assert engine.names() == {PLACE.lock: "created"}


def test_a_lock_that_cannot_be_given_back_is_a_warning() -> None:
    """What was done under it is done."""
    said: list[Event] = []
    engine = FakeEngine(breaking={f"remove {PLACE.lock}": EngineError("remove the lock", "no answer")})
    with hold_lock(lock_store(engine), PLACE, holder(), said.append):
        pass
    assert [type(event) for event in said] == [Warned]


def test_expiry_goes_by_the_clock_of_where_the_lock_is_kept() -> None:
    """An operator whose clock is two hours behind respects it, and one that is ahead does not break it."""
    behind = FakeEngine(info=replace(INFO, ahead_ms=7_200_000))
    taken(behind, holder(host="elsewhere", deployment="1" * 12))
    assert current_holder(lock_store(behind), PLACE) is None
    ahead = FakeEngine(info=replace(INFO, ahead_ms=-7_200_000))
    taken(ahead, holder(host="elsewhere", expires=in_an_hour_less(), deployment="1" * 12))
    assert current_holder(lock_store(ahead), PLACE) is not None


def in_an_hour_less() -> str:
    """A moment that is over here and not yet there."""
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")


def test_a_lock_is_broken_only_if_it_is_the_one_that_was_seen() -> None:
    """The holder that the plan showed; somebody who came in between keeps theirs."""
    engine, seen = FakeEngine(), holder(who="Grace", host="elsewhere", deployment="1" * 12)
    taken(engine, seen)
    with hold_lock(lock_store(engine), PLACE, holder(), print, breaking=seen):
        assert holder_in(engine.kept[0].state.labels).deployment == "0" * 12
    taken(engine, replace(seen, deployment="2" * 12))
    with pytest.raises(LockHeld), hold_lock(lock_store(engine), PLACE, holder(), print, breaking=seen):
        raise AssertionError("a lock that nobody saw was broken")


def test_waiting_ends_when_the_lock_is_free() -> None:
    """Who holds it is told once."""
    engine, said = FakeEngine(), list[Event]()
    taken(engine, holder(host="elsewhere", deployment="1" * 12))
    await_free(lock_store(engine), PLACE, seconds=60, emit=said.append, check=engine.kept.clear)
    assert [type(event) for event in said] == [Notice]


def test_waiting_goes_on_while_the_lock_is_in_removal() -> None:
    """The engine shows it as "removing" for a moment; it is still the holder's, and not a stranger."""
    engine, theirs = FakeEngine(), holder(host="elsewhere", deployment="1" * 12)
    labels = PLACE.labels(LOCK) | lock_labels(theirs)
    engine.add(state(PLACE.lock, status="removing", labels=labels))
    assert current_holder(lock_store(engine), PLACE) == theirs
    await_free(lock_store(engine), PLACE, seconds=60, emit=lambda event: None, check=engine.kept.clear)
    assert engine.names() == {}


def test_waiting_ends_when_its_time_is_over() -> None:
    """With the error of who does not wait; what `check` raises ends it too."""
    engine = FakeEngine()
    taken(engine, holder(host="elsewhere", deployment="1" * 12))
    with pytest.raises(LockHeld):
        await_free(lock_store(engine), PLACE, seconds=0, emit=print)

    def cancelled() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await_free(lock_store(engine), PLACE, seconds=60, emit=lambda event: None, check=cancelled)


def test_who_was_taken_for_dead_learns_it_before_anything_is_touched() -> None:
    """The lock is gone, or somebody else's; as long as it is ours nothing is said."""
    engine, mine = FakeEngine(), holder()
    taken(engine, mine)
    ensure_held(lock_store(engine), PLACE, mine)
    engine.kept.clear()
    with pytest.raises(LockHeld, match="the lock was removed"):
        ensure_held(lock_store(engine), PLACE, mine)
    taken(engine, holder(who="Grace", deployment="2" * 12))
    with pytest.raises(LockHeld, match="taken by Grace"):
        ensure_held(lock_store(engine), PLACE, mine)


@pytest.mark.attack(
    "a container that was started, or that lacks the labels of the lock, has the lock's name",
    "it is not a lock: it is named, with the command that frees the name, and never removed",
)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "running"}, "it is running, but a lock never runs"),
        ({"status": "exited"}, "it is exited"),
        ({"labels": {}}, "it lacks the labels of the lock of api in production"),
        ({"labels": Place(service="api", environment="staging").labels(LOCK)}, "it lacks the labels"),
    ],
)
def test_what_only_has_the_name_of_the_lock_is_left_alone(changes: dict[str, Any], why: str) -> None:
    """Whoever looks for the lock is told so, also who breaks it."""
    engine, other = FakeEngine(), expired()
    labels = PLACE.labels(LOCK) | lock_labels(other)
    engine.add(state(PLACE.lock, **{"status": "created", "labels": labels, **changes}))
    for breaking in (None, other):
        told = pytest.raises(LockHeld, match=why)
        with told as caught, hold_lock(lock_store(engine), PLACE, holder(), print, breaking=breaking):
            raise AssertionError("the lock was given")
    assert f"docker rename {PLACE.lock} {PLACE.lock}-other" in caught.value.hint
    with pytest.raises(LockHeld):
        current_holder(lock_store(engine), PLACE)
    assert PLACE.lock in engine.names()


@pytest.mark.attack(
    "the label with the end of a lock is garbage, has no time zone, or is missing",
    "the lock counts as held until `--break-lock` is given; the message says so",
)
@pytest.mark.parametrize("expires", ["", "garbage", "2020-01-01", "2020-01-01T00:00:00", "9" * 5000, "\x00"])
def test_a_lock_that_tells_no_time_is_held_until_it_is_broken(expires: str) -> None:
    """Its other labels may be anything, too."""
    engine, other = FakeEngine(), holder(host="elsewhere", expires=expires, pid="9" * 5000, who="")
    taken(engine, other)
    assert current_holder(lock_store(engine), PLACE) == other
    assert "is not a time" in held_error(PLACE, other).hint
    assert len(str(held_error(PLACE, other))) < 6500
    with hold_lock(lock_store(engine), PLACE, holder(), print, breaking=other):
        assert holder_in(engine.kept[0].state.labels).deployment == "0" * 12


def test_times_at_the_ends_of_the_calendar_are_times() -> None:
    """No comparison fails."""
    for expires, is_over in (("0001-01-01T00:00:00+23:59", True), ("9999-12-31T23:59:59-23:59", False)):
        assert holder(expires=expires).expired(datetime.now(UTC)) is is_over
