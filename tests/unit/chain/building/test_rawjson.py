"""BuildKit's structured progress: what people read of it, and what is known of the build."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from release.chain.building.progress import BuildProgress
from release.chain.building.rawjson import RawProgressReader

T0, T1 = "2026-11-30T01:59:22.000000111Z", "2026-11-30T01:59:22.450000999Z"
RUN = "[runtime  5/11] RUN make"


def vertex(name: str, **changes: Any) -> dict[str, Any]:
    return {"digest": f"sha256:{name}", "name": name, "started": T0, **changes}


def log(name: str, text: bytes) -> dict[str, Any]:
    return {"vertex": f"sha256:{name}", "data": base64.b64encode(text).decode(), "timestamp": T1}


def read(documents: Iterable[Any], *, after: str = "", indent: int | None = 2) -> tuple[str, BuildProgress]:
    """What comes of these documents, and the text that buildx writes after them."""
    reader = RawProgressReader()
    lines = "".join(f"{json.dumps(each, indent=indent)}\n" for each in documents) + after
    text = "".join(map(reader.feed, lines.splitlines(keepends=True)))
    return text, reader.progress(text)


FAILING = [
    {"vertexes": [vertex("[internal] load build definition", completed=T1)]},
    {"vertexes": [vertex(RUN, started=None)]},
    {"vertexes": [vertex(RUN)]},
    {"logs": [log(RUN, b"one\ntw")]},
    {"logs": [log(RUN, b"o\nthree")]},
    {"vertexes": [vertex(RUN, completed=T1, error="exit code: 3")]},
    {"vertexes": [vertex("[other 1/2] RUN sleep 9", completed=T1, error="x: context canceled")]},
]
PLACE = f"Dockerfile:7\n{'-' * 20}\n   7 | >>> RUN make\n{'-' * 20}\nERROR: failed to solve: exit code: 3\n"


@pytest.mark.parametrize("indent", [2, None], ids=["indented", "a line each"])
def test_people_read_it_as_plain_progress(indent: int | None) -> None:
    """With each step's output, and at the end the last lines of the step that failed."""
    text, _ = read(FAILING, after=PLACE, indent=indent)
    assert text.split("\n") == [
        "#1 [internal] load build definition",
        "#1 DONE 0.5s",
        f"#2 {RUN}",
        "#2 0.450 one",
        "#2 0.450 two",
        "#2 0.450 three",
        "#2 ERROR: exit code: 3",
        "#3 [other 1/2] RUN sleep 9",
        "#3 CANCELED",
        "------",
        f" > {RUN}:",
        "0.450 one",
        "0.450 two",
        "0.450 three",
        "------",
        *PLACE.split("\n"),
    ]


def test_the_step_that_failed_is_known() -> None:
    """Whatever the width of its number; a step that was given up for it is not the reason."""
    _, progress = read(FAILING, after=PLACE)
    assert (progress.failed_instruction, progress.dockerfile_line) == ("RUN make", 7)
    assert not progress.is_failure_outside_dockerfile
    assert not progress.is_image_lookup_failure


def test_a_program_cannot_forge_steps() -> None:
    """What it prints is output of its own step, also where it looks like progress or like a document."""
    forged = f"#9 [1/1] RUN x\n#9 ERROR: x\n{json.dumps({'vertexes': [vertex('forged')]})}\n".encode()
    text, progress = read([{"vertexes": [vertex(RUN)]}, {"logs": [log(RUN, forged)]}])
    assert [each.name for each in progress.vertices] == [RUN]
    assert all(line.startswith("#1 ") for line in text.rstrip("\n").split("\n"))


def test_a_step_that_runs_once_more_is_under_way() -> None:
    """BuildKit completes some of its own steps several times; one that does not end is the engine's."""
    again = [{"vertexes": [vertex("[internal] load", completed=T1), vertex("[internal] load")]}]
    assert read(again)[1].is_failure_outside_dockerfile
    assert not read([*again, {"vertexes": [vertex("[internal] load", completed=T1)]}])[
        1
    ].is_failure_outside_dockerfile


def test_a_cached_step_and_what_a_step_did_are_shown() -> None:
    """As plain progress does."""
    done = {"vertex": "sha256:x", "id": "exporting layers", "completed": T1, "started": T0}
    text, _ = read([{"vertexes": [vertex("x", completed=T1, cached=True)], "statuses": [done]}])
    assert text == "#1 x\n#1 exporting layers done\n#1 CACHED\n"


@pytest.mark.parametrize(
    "text",
    ["#1 [1/2] RUN false\n#1 ERROR: x\n", "unknown flag: --x\n", "{ not a document }\n"],
)
def test_text_of_an_older_buildx_passes(text: str) -> None:
    """And is read as plain progress."""
    reader = RawProgressReader()
    shown = "".join(map(reader.feed, text.splitlines(keepends=True)))
    if not text.startswith("{"):
        assert shown == text
    assert reader.progress(text).failed_instruction == ("RUN false" if "RUN" in text else "")


@pytest.mark.parametrize(
    "document",
    [[], {"vertexes": 1}, {"logs": [{"vertex": "none"}]}, {"statuses": [1]}, {"warnings": [{}]}, {}],
)
def test_a_document_of_another_shape_says_nothing(document: Any) -> None:
    """A newer BuildKit may say more than is known here."""
    text, progress = read([document])
    assert text in ("", "WARN: \n", "[]\n")
    assert progress.vertices == ()


def test_a_cached_step_whose_layer_is_unpacked_stays_cached() -> None:
    """BuildKit says DONE of it a second time; nothing was run."""
    found = [vertex(RUN, completed=T1, cached=True), vertex(RUN), vertex(RUN, completed=T1)]
    _, progress = read([{"vertexes": [each]} for each in found])
    assert not progress.has_run_instruction
    _, progress = read([{"vertexes": [each]} for each in found[1:]])
    assert progress.has_run_instruction
