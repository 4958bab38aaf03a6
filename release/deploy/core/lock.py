"""One deployment of an environment at a time: a lock that is held where the deployment happens.

The lock is a thing with a name that belongs to the environment and is unique there, so making it is the
atomic test: see `release.deploy.core.lock_store`. Who holds it stands in its labels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from release.deploy.core.lock_store import Kept, LockStore
from release.deploy.core.place import Place
from release.errors import EngineError, LockHeld, NameTaken
from release.events import Emit, Notice, Warned
from release.programs.owner import Owner, parse_label_time
from release.values import Struct, plain

Task = Literal["deploy", "roll back", "converge", "prune", "run a command in", "restart", "stop", "start"]
"""Task that needs the lock."""


def task_of(reason: str) -> Task:
    """Return the word for a deployment of this reason."""
    return "roll back" if reason == "rollback" else "deploy"


LOCK: Final = "lock"
"""The role in the labels."""

_PREFIX: Final = "release.lock."
_TRIES: Final = 3
_WAIT_SECONDS: Final = 0.5


class Holder(Struct, frozen=True, kw_only=True):
    """Holder of a lock: how to contact them, and whether their process still runs."""

    who: str
    host: str
    pid: str
    process: str
    """Identity of the process among those of its number: boot, process namespace and start time."""
    url: str
    """Address of the CI job; empty without one."""
    deployment: str
    since: str
    expires: str
    """Time of expiry, by the clock of the lock's store, like `since`."""
    journal: str = ""
    """Request of the deployment: see `release.deploy.environment.journal`."""

    @classmethod
    def here(
        cls,
        *,
        who: str,
        url: str | None,
        deployment: str,
        milliseconds: int,
        now: datetime | None = None,
        journal: str = "",
    ) -> Holder:
        """Return this process as holder, from `now` (the store's time) for at most these milliseconds."""
        now, owner = now or datetime.now(UTC), Owner.here()
        return cls(
            who=who,
            host=owner.host,
            pid=owner.pid,
            process=owner.process,
            url=url or "",
            deployment=deployment,
            since=now.isoformat(timespec="seconds"),
            expires=(now + timedelta(milliseconds=milliseconds)).isoformat(timespec="seconds"),
            journal=journal,
        )

    def metadata(self) -> dict[str, str]:
        """Return the holder as metadata of the lock; the journal is its payload."""
        return {f"{_PREFIX}{key}": value for key, value in plain(self).items() if key != "journal"}

    @classmethod
    def parse(cls, kept: Kept) -> Holder:
        """Return the holder of a lock; missing texts are empty."""
        names = (key for key in cls.__struct_fields__ if key != "journal")
        return cls(**{key: kept.metadata.get(f"{_PREFIX}{key}", "") for key in names}, journal=kept.payload)

    def expired(self, now: datetime) -> bool:
        """Return whether the lock's time is over. A lock without an end does not expire."""
        end = parse_label_time(self.expires)
        return end is not None and end < now

    @property
    def end(self) -> str:
        """Return when the lock expires, as text."""
        if parse_label_time(self.expires) is not None:
            return f"the lock expires at {self.expires}"
        return (
            f"the lock never expires, because its label `{_PREFIX}expires` is not a time: "
            f"{self.expires[:40]!r}"
        )

    def dead(self) -> bool:
        """Return whether the holder was a process of this machine and namespace that is gone."""
        return Owner(host=self.host, pid=self.pid, process=self.process).gone()

    def __str__(self) -> str:
        """Return the holder as text."""
        run = f", {self.url}" if self.url else ""
        process = f"process {self.pid or 'unknown'}{run}"
        return (
            f"{self.who or 'unknown'} on {self.host or 'unknown'} ({process}) since {self.since or 'unknown'}"
        )


def find(lock_store: LockStore, place: Place) -> Holder | None:
    """Return the holder of the lock that exists, alive or not. Raises LockHeld if it is not a lock."""
    kept = _kept(lock_store, place)
    return Holder.parse(kept) if kept is not None else None


def _kept(lock_store: LockStore, place: Place) -> Kept | None:
    """Return the object with the lock's name. Raises LockHeld if it is not this place's lock."""
    kept = lock_store.get(place.lock)
    if kept is None:
        return None
    is_labelled = place.labels(LOCK).items() <= kept.metadata.items()
    foreign = kept.foreign or ("" if is_labelled else f"it lacks the labels of the lock of {place}")
    if foreign:
        raise LockHeld(
            f"read the lock of {place}",
            f"{place.lock} has the name of the lock, but is not a lock: {foreign}; it was not changed",
            f"look at {place.lock} first; to free the name: {kept.way_out}",
        )
    return kept


def valid_holder(lock_store: LockStore, holder: Holder | None) -> Holder | None:
    """Return the holder; None if its lock can be taken over."""
    return None if holder is None or holder.expired(lock_store.now()) or holder.dead() else holder


def current_holder(lock_store: LockStore, place: Place) -> Holder | None:
    """Return the holder of the lock; None if the lock is free or can be taken over."""
    return valid_holder(lock_store, find(lock_store, place))


def await_free(
    lock_store: LockStore,
    place: Place,
    *,
    seconds: float,
    emit: Emit,
    check: Callable[[], None] = lambda: None,
    is_over: Callable[[Holder], bool] = lambda _: False,
    task: Task = "deploy",
) -> None:
    """Wait until the lock is free, or `is_over` says that its holder's deployment has ended.

    Raises LockHeld after the timeout, and the errors of `check`.
    """
    deadline, said = time.monotonic() + seconds, ""
    while (holder := current_holder(lock_store, place)) is not None and not is_over(holder):
        left = deadline - time.monotonic()
        if left <= 0:
            raise held_error(place, holder, task)
        if str(holder) != said:
            emit(Notice(text=f"waiting for {holder}, at most {math.ceil(left)} s"))
            said = str(holder)
        check()
        time.sleep(min(_WAIT_SECONDS, left))


@contextmanager
def hold_lock(
    lock_store: LockStore,
    place: Place,
    holder: Holder,
    emit: Emit,
    *,
    breaking: Holder | None = None,
    task: Task = "deploy",
) -> Iterator[None]:
    """Hold the lock while the block runs.

    Args:
        lock_store: store of the lock.
        place: place of the lock.
        holder: this process.
        emit: gets a warning if a lock is taken over.
        breaking: holder whose lock is taken over, alive or not.
        task: task of this process, for the error.

    Raises:
        LockHeld: another deployment holds it.
    """
    try:
        _take(lock_store, place, holder, emit, breaking, task)
        yield
    finally:
        _release(lock_store, place, holder, emit)


def _take(
    lock_store: LockStore, place: Place, mine: Holder, emit: Emit, breaking: Holder | None, task: Task
) -> None:
    """Create the lock. Remove a stale lock by its id, so that no new lock is removed."""
    for _ in range(_TRIES):
        with suppress(NameTaken):
            lock_store.put(place.lock, place.labels(LOCK) | mine.metadata(), mine.journal)
            return
        kept = _kept(lock_store, place)
        if kept is not None:
            _remove_left_behind(lock_store, place, kept, emit, breaking, task)
    raise LockHeld(
        f"{task} {place}",
        f"other deployments took the lock {place.lock} first, {_TRIES} times",
        "run the command again; `invoke status` shows who holds it",
    )


def _remove_left_behind(
    lock_store: LockStore, place: Place, kept: Kept, emit: Emit, breaking: Holder | None, task: Task
) -> None:
    holder = Holder.parse(kept)
    reason = _reason(lock_store, holder, breaking)
    if not reason:
        raise held_error(place, holder, task)
    emit(Warned(text=f"taking the lock of {holder}: {reason}"))
    lock_store.drop(kept.id)


def _reason(lock_store: LockStore, holder: Holder, breaking: Holder | None) -> str:
    """Return why the lock may be taken from its holder; empty if it may not."""
    if holder.dead():
        return "its process has ended"
    if holder.expired(lock_store.now()):
        return f"it expired at {holder.expires}"
    return "its deployment has ended, or --break-lock was given" if holder == breaking else ""


def ensure_held(lock_store: LockStore, place: Place, mine: Holder) -> None:
    """Raise LockHeld if the lock is not ours any more, for example after this machine slept."""
    kept = lock_store.get(place.lock)
    found = Holder.parse(kept) if kept is not None else None
    if found != mine:
        raise LockHeld(
            f"keep the lock of {place}",
            f"the lock was taken by {found}" if found is not None else "the lock was removed",
            f"agree with the other operator; `{place.command('status')}` shows what runs",
        )


def held_error(place: Place, holder: Holder, task: Task = "deploy") -> LockHeld:
    """Return the error for a command that did not get the lock."""
    ends = f"{holder.end} ({place.lock})"
    wait = f"to wait for it: --wait SECONDS; {ends}" if task in ("deploy", "roll back") else ends
    return LockHeld(
        f"{task} {place}",
        f"another deployment is under way: {holder}",
        f"{wait}. If the machine of the holder is surely dead: "
        f"`{place.command('converge --break-lock --message WHY')}`",
    )


def drop(lock_store: LockStore, place: Place, holder: Holder) -> bool:
    """Remove the lock if this holder has it; return whether it was removed. Raises EngineError."""
    kept = lock_store.get(place.lock)
    if kept is None or Holder.parse(kept) != holder:
        return False
    lock_store.drop(kept.id)
    return True


def _release(lock_store: LockStore, place: Place, holder: Holder, emit: Emit) -> None:
    """Remove the lock if it is ours. A failure is only a warning, because the lock expires."""
    try:
        drop(lock_store, place, holder)
    except EngineError as error:
        emit(
            Warned(
                text=f"could not remove the lock {place.lock}: {error.found}. It expires at {holder.expires}"
            )
        )
