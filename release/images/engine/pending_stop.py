"""A stop that the engine was asked for and that is not over: the container still counts as running."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

from release.images.engine.connection import Connection
from release.images.values import ContainerState

_ENDING: Final = {"15", "9", "SIGTERM", "SIGKILL"}
"""Signals that end a container, as events name them, beside its own stop signal."""


class PendingStops(Connection):
    """Requests about containers that are being stopped."""

    def is_stopping(self, state: ContainerState) -> bool:
        """Return whether a running container got its stop signal since it was started. Raises EngineError.

        The engine keeps its last 256 events, so False can also mean that the signal was long ago.
        Source: Docker Engine API 1.45, SystemEvents.
        """
        if state.status != "running":
            return False
        started = int(datetime.fromisoformat(state.started_at).timestamp())
        wanted = {"container": state.id, "type": "container", "event": ["start", "kill"]}
        with self._asking(f"list the events of the container {state.name}"):
            until = time.time() + self.info.ahead_ms / 1000
            found = list(
                self._client.events(since=str(started), until=str(until), filters=wanted, decode=True)  # type: ignore[call-overload]  # with fractions of a second
            )
        signals = [str(each["Actor"]["Attributes"].get("signal") or "") for each in found]
        last_start = max((place for place, signal in enumerate(signals) if not signal), default=-1)
        return bool((_ENDING | {state.stop_signal}) & set(signals[last_start + 1 :]) - {""})
