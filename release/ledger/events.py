"""Events of a ledger: appended in order of time, and kept in this clone until the remote answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from release.errors import LedgerRewritten, LedgerUnproven, LedgerUnreachable, ReleaseError
from release.ledger import layout, outbox
from release.ledger.record_numbering import Placing
from release.records import Body, Deployment, Draft, Operation, Record
from release.values import replace

if TYPE_CHECKING:
    from release.ledger.store import Ledger


class Events:
    """Events of one ledger, published or waiting."""

    def __init__(self, ledger: Ledger, waiting: outbox.Outbox, tell: Callable[[str], None]) -> None:
        """Keep the arguments; read nothing. `tell` is called with each warning."""
        self._ledger = ledger
        self._outbox = waiting
        self._tell = tell

    def append(
        self, drafts: Sequence[Draft[Body]], *, publish: bool = True, keep: bool = True
    ) -> tuple[Record[Body], ...] | None:
        """Append new events after the waiting ones. With a remote, each waits on disk until it is published.

        Args:
            drafts: the new events; one append publishes all of them or none.
            publish: False keeps them in this clone until the next event is published, if there is a remote.
            keep: False drops events that the ledger refuses.

        Returns:
            The records; None if the events wait, because the remote is silent or the ledger is not proven.

        Raises:
            LedgerRejected, LedgerError: as `Ledger.append`; the hint says that the event waits.
        """
        drafts = [self._in_order(draft) for draft in drafts]
        if self._ledger.remote is None and self._ledger.unproven is None:
            self.published()
            return self._ledger.append(drafts)
        for draft in drafts:
            self._outbox.put(draft)
        if not publish:
            return None
        try:
            published = self.published()
        except LedgerUnreachable:
            return None
        except ReleaseError as error:
            if not keep:
                self._outbox.withdraw(drafts)
                raise
            if self._is_unproven(error):
                return None
            error.hint += "; the event waits in this clone, and `invoke sync` publishes it"
            raise
        # when it is not among them, another process of this clone has published it: appending finds it
        return tuple(
            published.get(outbox.event_name(draft)) or self._ledger.append([draft])[0] for draft in drafts
        )

    def _is_unproven(self, error: ReleaseError) -> bool:
        """Return whether the ledger is not proven. If so, warn that the events wait in this clone."""
        unproven = isinstance(error, LedgerUnproven | LedgerRewritten)
        if unproven:
            self._tell("the event waits in this clone, because the ledger is not proven")
        return unproven

    def unsynced(self) -> tuple[Draft[Body], ...]:
        """Return the events of this clone that are not in the ledger yet, oldest first."""
        drafts = (kept.draft for kept in self._outbox.kept())
        return tuple(draft for draft in drafts if Placing(self._ledger).existing(draft) is None)

    def published(self) -> dict[str, Record[Body]]:
        """Append the waiting events, then delete their files. Return the records by event name.

        An event that contradicts the ledger is moved away, so that it does not stop the others.
        """
        kept = [event for event in self._outbox.kept() if not self._contradicts(event)]
        if not kept:
            return {}
        records = self._ledger.append([event.draft for event in kept])
        self._outbox.drop(kept)
        return {outbox.event_name(event.draft): record for event, record in zip(kept, records, strict=True)}

    def _contradicts(self, event: outbox.KeptEvent) -> bool:
        conflict = Placing(self._ledger).conflict(event.draft)
        if conflict:
            self._outbox.put_aside(event.path, conflict)
        return bool(conflict)

    def _in_order(self, draft: Draft[Body]) -> Draft[Body]:
        """Return the draft with a time after all known events, even if this machine's clock is late."""
        environment = _environment(draft)
        if environment is None or Placing(self._ledger).existing(draft) is not None:
            return draft
        newest = self._newest(draft.service, environment)
        if newest is None or draft.recorded_at > newest:
            return draft
        return replace(draft, recorded_at=_after(newest))

    def _newest(self, service: str, environment: str) -> str | None:
        """Return the time of the newest event of an environment, published or not."""
        waiting = [
            draft.recorded_at
            for draft in self.unsynced()
            if draft.service == service and _environment(draft) == environment
        ]
        folders = (
            layout.environment_folder(service, environment),
            layout.operation_folder(service, environment),
        )
        recorded = filter(None, map(self._newest_in, folders))
        return max([*waiting, *recorded], default=None)

    def _newest_in(self, folder: str) -> str | None:
        """Return the time of the newest entry of a folder of years, months and days."""
        parts: list[str] = []
        for _ in range(4):
            names = self._ledger.names(folder)
            if not names:
                return None
            parts.append(names[-1])
            folder = f"{folder}/{names[-1]}"
        return layout.event_time(*parts)


def _environment(draft: Draft[Body]) -> str | None:
    return draft.body.environment if isinstance(draft.body, Deployment | Operation) else None


def _after(moment: str) -> str:
    """Return the moment one millisecond later."""
    later = datetime.fromisoformat(moment) + timedelta(milliseconds=1)
    return later.isoformat(timespec="milliseconds").replace("+00:00", "Z")
