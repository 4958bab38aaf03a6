"""BuildKit's structured progress (`buildx build --progress rawjson`), as lines for people and as a value.

buildx 0.13 and later write one JSON document after the other, on one line or indented, and text of buildx
itself between and after them. Each holds vertices, statuses, logs and warnings that have changed (BuildKit,
`client.SolveStatus`). The lines for people have the shape of plain progress, which every reader knows.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from release.chain.building.progress import BuildProgress, State, Vertex, parse_plain_progress
from release.values import Struct, field

_LARGEST: Final = 16 * 1024 * 1024
"""Characters of one document; a longer document is shown as text."""

_QUOTED: Final = 10
"""Number of last lines of a failed step that are repeated at the end, as plain progress does."""

_CANCELED: Final = "context canceled"
"""End of BuildKit's error for a step that was cancelled because another step failed."""

_NANOSECONDS: Final = re.compile(r"(\.\d{6})\d+")


class _Step(Struct, kw_only=True):
    """A vertex of a running build."""

    number: int
    name: str
    began: str = ""
    state: State = ""
    cached: bool = False
    """True: the step was found in the cache. The step may end a second time when its layer is unpacked."""
    shown: bool = False
    partial: str = ""
    last: deque[str] = field(default_factory=lambda: deque(maxlen=_QUOTED))


class RawProgressReader:
    """Reader of the output of buildx, line by line. Text that is not JSON passes unchanged."""

    def __init__(self) -> None:
        """Start without steps."""
        self._steps: dict[str, _Step] = {}
        self._document = ""
        self._is_told = False
        self._is_over = False
        self._lock = threading.Lock()

    def running_instructions(self) -> frozenset[str]:
        """Return the instructions that run now. Safe to call from another thread."""
        with self._lock:
            steps = [step for step in self._steps.values() if step.shown and not step.state]
        names = {step.name for step in steps if Vertex(name=step.name).instruction}
        return frozenset() if self._is_over else frozenset(names)

    def close(self) -> None:
        """Mark all steps as ended."""
        self._is_over = True

    def feed(self, line: str) -> str:
        """Return the readable lines for a line of output: none, one or several."""
        if not self._document and not line.startswith("{"):
            return "".join(self._render_failures()) + line
        self._document += line
        if not line.rstrip().endswith("}"):
            return self._flush_overlong_document()
        try:
            status = json.loads(self._document)
        except (ValueError, RecursionError):
            return self._flush_overlong_document()
        self._document = ""
        with self._lock:
            return "".join(f"{shown}\n" for shown in self._render_document(status))

    def _flush_overlong_document(self) -> str:
        if len(self._document) < _LARGEST:
            return ""
        text, self._document = self._document, ""
        return text

    def progress(self, text: str) -> BuildProgress:
        """Return the build's progress. `text` is the text that `feed` returned."""
        if not self._steps:
            return parse_plain_progress(text)
        vertices = tuple(Vertex(name=step.name, state=_final_state(step)) for step in self._steps.values())
        return BuildProgress(vertices=vertices, text=text)

    def _render_document(self, status: Any) -> Iterator[str]:
        """Yield readable lines for one document; none for a document of another shape."""
        if not isinstance(status, Mapping):
            return
        ended = [
            vertex for vertex in _list_of_objects(status, "vertexes") if self._find_or_add_step(vertex).began
        ]
        for vertex in _list_of_objects(status, "vertexes"):
            yield from self._render_begin(self._find_or_add_step(vertex))
        for log in _list_of_objects(status, "logs"):
            yield from self._render_log(log)
        for each in _list_of_objects(status, "statuses"):
            yield from self._render_status(each)
        for vertex in ended:
            yield from self._render_end(self._find_or_add_step(vertex), vertex)
        for warning in _list_of_objects(status, "warnings"):
            yield f"WARN: {_decode_log_text(warning.get('short'))}"

    def _find_or_add_step(self, vertex: Mapping[str, Any]) -> _Step:
        key = str(vertex.get("digest"))
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = _Step(number=0, name=" ".join(str(vertex.get("name", "")).split("\n")))
        step.began = str(vertex.get("started") or step.began)
        return step

    def _render_begin(self, step: _Step) -> Iterator[str]:
        if step.began and not step.shown:
            step.shown, step.number = True, sum(each.shown for each in self._steps.values()) + 1
            yield f"#{step.number} {step.name}"

    def _render_log(self, log: Mapping[str, Any]) -> Iterator[str]:
        step = self._steps.get(str(log.get("vertex")))
        if step is None:
            return
        *lines, step.partial = (
            (step.partial + _decode_log_text(log.get("data"))).replace("\r\n", "\n").split("\n")
        )
        for line in lines:
            yield self._render_step_line(
                step, f"{_seconds_between(step.began, log.get('timestamp')):.3f} {line}"
            )

    def _render_step_line(self, step: _Step, line: str) -> str:
        step.last.append(line)
        return f"#{step.number} {line}"

    def _render_status(self, status: Mapping[str, Any]) -> Iterator[str]:
        step = self._steps.get(str(status.get("vertex")))
        if step is not None and status.get("completed"):
            yield f"#{step.number} {status.get('id')} done"

    def _render_end(self, step: _Step, vertex: Mapping[str, Any]) -> Iterator[str]:
        error = str(vertex.get("error") or "")
        if not vertex.get("completed") and not error:
            step.state = ""  # it runs once more
            return
        if step.partial:
            yield self._render_step_line(
                step, f"{_seconds_between(step.began, vertex.get('completed')):.3f} {step.partial}"
            )
            step.partial = ""
        step.state = _end_state(vertex, error)
        step.cached = step.cached or step.state == "CACHED"
        said = {
            "ERROR": f"ERROR: {error}",
            "DONE": f"DONE {_seconds_between(step.began, vertex.get('completed')):.1f}s",
        }
        yield f"#{step.number} {said.get(step.state, step.state)}"

    def _render_failures(self) -> Iterator[str]:
        """Yield the last lines of each failed step, once, before the final error of buildx."""
        failed = [step for step in self._steps.values() if step.state == "ERROR"]
        if failed and not self._is_told:
            self._is_told = True
            for step in failed:
                lines = ["------", f" > {step.name}:", *step.last]
                yield "".join(f"{line}\n" for line in lines)
            yield "------\n"


def _list_of_objects(status: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = status.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _final_state(step: _Step) -> State:
    return "CACHED" if step.cached and step.state == "DONE" else step.state


def _end_state(vertex: Mapping[str, Any], error: str) -> State:
    if error:
        return "CANCELED" if error.endswith(_CANCELED) else "ERROR"
    return "CACHED" if vertex.get("cached") else "DONE"


def _decode_log_text(data: Any) -> str:
    """Return the text of bytes in JSON, base64 (Go, `encoding/json`)."""
    try:
        return base64.b64decode(str(data or ""), validate=True).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _seconds_between(began: str, then: Any) -> float:
    """Return the seconds between two times (RFC 3339, with nanoseconds); 0 if one is not a time."""
    try:
        first, last = (datetime.fromisoformat(_NANOSECONDS.sub(r"\1", str(time))) for time in (began, then))
        return max(0.0, (last - first).total_seconds())
    except (ValueError, TypeError):
        return 0.0
