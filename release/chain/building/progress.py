"""BuildKit's progress as a value: vertices with their states, and the Dockerfile line of an error.

A vertex that runs an instruction is named `[stage  2/11] …`, with step numbers of one width; others are
BuildKit's own, as `[internal] load …` and `exporting to image`. Where an error carries the place in the
Dockerfile that it is about, buildx shows it: `NAME:LINE` above a line of twenty dashes. Source: BuildKit,
`util/progress/progressui`, `frontend/dockerfile/dockerfile2llb` and `solver/errdefs/source.go`.

The vertices come from `--progress rawjson` (`release.chain.building.rawjson`), or from the plain progress
of an older buildx: `#NUMBER` and a vertex's name, its output, or its state. buildx ends with status 1
whatever went wrong, and neither form holds the gRPC status of an error. Both hold the place of the error.
"""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from release.values import Struct

State = Literal["", "DONE", "CACHED", "CANCELED", "ERROR"]
"""State of a vertex; empty while the vertex runs."""

_LINE: Final = re.compile(r"#(?P<number>[1-9]\d*) (?P<text>\S.*)")
_INSTRUCTION: Final = re.compile(r"\[ *(?:\S+ +)*\d+/\d+\] (?P<text>.*)", re.DOTALL)
_PADDED: Final = re.compile(r"\[ +| +(?=\d+/\d+\])")
_PLACE: Final = re.compile(r"^\S.*:(?P<line>\d+)\n-{20}$", re.MULTILINE)
_BASE: Final = "[internal] load metadata for "
_IMPORTING: Final = "importing cache manifest from "
_FRONTEND: Final = "resolve image config for "
_WELL: Final = frozenset({"DONE", "CACHED"})
_ENDS: Final = _WELL | {"CANCELED", "ERROR"}


class Vertex(Struct, frozen=True, kw_only=True):
    """A step of a build, with its name and last state."""

    name: str
    state: State = ""

    @property
    def instruction(self) -> str:
        """Return the Dockerfile's instruction, as "RUN make"; empty for BuildKit's own steps."""
        found = _INSTRUCTION.fullmatch(self.name)
        return found["text"] if found is not None else ""


class BuildProgress(Struct, frozen=True, kw_only=True):
    """Progress of a build that ended: its vertices, and its output as text."""

    vertices: tuple[Vertex, ...]
    text: str

    @property
    def has_begun(self) -> bool:
        """Return whether BuildKit has started; otherwise buildx ended before and printed the reason."""
        return bool(self.vertices)

    @property
    def dockerfile_line(self) -> int | None:
        """Return the Dockerfile line of the error; None if BuildKit shows no line."""
        found = _PLACE.search(self.text)
        return int(found["line"]) if found is not None else None

    @property
    def failed_vertices(self) -> tuple[Vertex, ...]:
        """Return the vertices that ended with an error, without the vertices that were cancelled."""
        return tuple(vertex for vertex in self.vertices if vertex.state == "ERROR")

    @property
    def failed_instruction(self) -> str:
        """Return the instruction that failed; empty if none failed."""
        return next(filter(None, (vertex.instruction for vertex in self.failed_vertices)), "")

    @property
    def has_run_instruction(self) -> bool:
        """Return whether an instruction ran, instead of being taken from a cache."""
        steps = (v for v in self.vertices if v.instruction and not v.instruction.upper().startswith("FROM "))
        return any(vertex.state == "DONE" for vertex in steps)

    @property
    def has_imported_cache(self) -> bool:
        """Return whether a cache was imported."""
        return any(v.name.startswith(_IMPORTING) and v.state == "DONE" for v in self.vertices)

    def cache_import_error(self, end: str) -> str | None:
        """Return BuildKit's error of a cache import whose name ends so; None if no such import failed."""
        failed = any(v.name.startswith(_IMPORTING) and v.name.endswith(end) for v in self.failed_vertices)
        number = re.search(rf"^#(\d+) {_IMPORTING}.*{re.escape(end)}$", self.text, re.MULTILINE)
        if not failed or number is None:
            return "BuildKit gave no reason" if failed else None
        reason = re.search(rf"^#{number[1]} ERROR: (.*)$", self.text, re.MULTILINE)
        return reason[1] if reason is not None else "BuildKit gave no reason"

    @property
    def is_failure_outside_dockerfile(self) -> bool:
        """Return whether a failed build ended outside its Dockerfile, so that another attempt may succeed.

        True: no error points into the Dockerfile, no instruction failed, and another vertex failed. Causes:
        an overloaded or restarted engine, or a lost session. False: all vertices succeeded, as for a missing
        stage, or none began; then the request is wrong.
        """
        if self.dockerfile_line is not None or self.failed_instruction:
            return False
        return any(vertex.state not in _WELL for vertex in self.vertices)

    @property
    def is_image_lookup_failure(self) -> bool:
        """Return whether only lookups of images failed: the registry is in trouble or lacks the image.

        BuildKit shows the place of the FROM then, whatever the registry has answered.
        """
        return bool(self.failed_vertices) and all(
            vertex.name.startswith((_BASE, _FRONTEND)) for vertex in self.failed_vertices
        )

    @property
    def missing_frontend(self) -> str:
        """Return the image of `# syntax=` that could not be looked up; empty if another step failed."""
        names = (vertex.name for vertex in self.failed_vertices if vertex.name.startswith(_FRONTEND))
        return next((name.removeprefix(_FRONTEND).removeprefix("docker-image://") for name in names), "")

    @property
    def missing_images(self) -> str:
        """Return the images that could not be looked up, in one line."""
        return ", ".join(v.name.removeprefix(_BASE).removeprefix(_FRONTEND) for v in self.failed_vertices)


def parse_step(line: str) -> str:
    """Return the step that a line begins, as "[runtime 2/4] COPY . /srv"; empty if there is none."""
    match = _LINE.fullmatch(line)
    if match is None or not _INSTRUCTION.fullmatch(match["text"]):
        return ""
    return _PADDED.sub(lambda found: "[" if found[0].startswith("[") else " ", match["text"], count=1)


def _next_state(before: str, word: str) -> str:
    """Return the new state of a vertex after a word of BuildKit.

    A cached step is DONE a second time when its layer is unpacked: the state stays CACHED.
    """
    if word not in _ENDS or (before == "CACHED" and word == "DONE"):
        return before
    return word


def parse_plain_progress(output: str) -> BuildProgress:
    """Return the progress that a plain output shows: each vertex by name, with its last state."""
    names, states = dict[str, str](), dict[str, str]()
    for line in output.splitlines():
        if match := _LINE.fullmatch(line):
            name = names.setdefault(match["number"], match["text"])
            word = match["text"].split(maxsplit=1)[0].rstrip(":")
            states[name] = _next_state(states.get(name, ""), word)
    vertices = tuple(Vertex(name=name, state=cast("State", state)) for name, state in states.items())
    return BuildProgress(vertices=vertices, text=output)
