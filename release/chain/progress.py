"""BuildKit's plain progress, read as the protocol that it is: numbered vertices, each with a state.

Each line is `#NUMBER` and a vertex's name, its output, or its state: DONE, CACHED, CANCELED, ERROR. A vertex
that runs an instruction is named `[stage 2/4] …`; others are BuildKit's own, as `[internal] load …` and
`exporting to image`. Where an error carries the place in the Dockerfile that it is about, buildx shows it:
`NAME:LINE` above a line of twenty dashes. Source: BuildKit, `util/progress/progressui` and
`solver/errdefs/source.go`.

buildx ends with status 1 whatever went wrong, and neither this output nor `--progress rawjson` holds the gRPC
status of an error. What they do hold is where it happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_LINE: Final = re.compile(r"#(?P<number>[1-9]\d*) (?P<text>\S.*)")
_INSTRUCTION: Final = re.compile(r"\[(?:\S+ )?\d+/\d+\] .*")
_PLACE: Final = re.compile(r"^\S.*:\d+\n-{20}$", re.MULTILINE)
_LOOKUP: Final = "[internal] load metadata for "
_WELL: Final = frozenset({"DONE", "CACHED"})
_ENDS: Final = _WELL | {"CANCELED", "ERROR"}


def step_of(line: str) -> str:
    """The step that a line begins, as "[runtime 2/4] COPY . /srv"; or nothing."""
    match = _LINE.fullmatch(line)
    return match["text"] if match is not None and _INSTRUCTION.fullmatch(match["text"]) else ""


def has_begun(output: str) -> bool:
    """Whether BuildKit has done anything at all; else buildx did not get so far, and has said why."""
    return bool(_states(output.splitlines()))


def is_engines_failure(output: str) -> bool:
    """Whether a failed build ended outside of what its Dockerfile says: then another attempt makes sense.

    Nothing points into the Dockerfile, no instruction ended with an error, and something else did not end
    well: as when the engine is overloaded, restarts, or loses its client's session. Where everything ended
    well and the build failed all the same, as for a stage that does not exist, the reason is in what was
    asked for; so it is where nothing has begun.
    """
    states = _states(output.splitlines())
    instructions = {name for name in states if _INSTRUCTION.fullmatch(name)}
    if _PLACE.search(output) or any(states[name] == "ERROR" for name in instructions):
        return False
    return any(state not in _WELL for state in states.values())


def is_about_bases(output: str) -> bool:
    """Whether nothing failed but looking up base images: a registry is in trouble, or has no such one.

    BuildKit shows the place of the FROM then, whatever the registry has answered.
    """
    states = _states(output.splitlines())
    failed = [name for name, state in states.items() if state == "ERROR"]
    return bool(failed) and all(name.startswith(_LOOKUP) for name in failed)


def _states(lines: Iterable[str]) -> dict[str, str]:
    """Each vertex by its name, with its last state: "ERROR", "DONE", …; nothing while it is under way."""
    names, states = dict[str, str](), dict[str, str]()
    for line in lines:
        if match := _LINE.fullmatch(line):
            name = names.setdefault(match["number"], match["text"])
            word = match["text"].split(maxsplit=1)[0].rstrip(":")
            states[name] = word if word in _ENDS else states.get(name, "")
    return states
