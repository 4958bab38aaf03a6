"""Lines of the Dockerfile for the layers of an image."""

from __future__ import annotations

from release.chain.installed.origins import LayerOrigin, find_layer_origins

DOCKERFILE = """\
FROM python:3.13 AS base
ENV A=1
RUN pip install \\
    six

# the service
FROM base AS runtime
COPY . /srv
CMD ["python"]

FROM runtime AS test
COPY tests /tests
"""
BASE: dict[str, object] = {"created_by": "RUN something # from another Dockerfile"}


def step(text: str, *, empty: bool = False) -> dict[str, object]:
    return {"created_by": text, **({"empty_layer": True} if empty else {})}


OWN = [
    step("ENV A=1", empty=True),
    step("RUN /bin/sh -c pip install     six # buildkit"),
    step("COPY . /srv # buildkit"),
    step('CMD ["python"]', empty=True),
]


def test_each_layer_has_its_line() -> None:
    """Stages that the released one is built on are followed; a stage on top of it is not."""
    assert find_layer_origins([BASE, *OWN], DOCKERFILE, "runtime", ()) == (
        LayerOrigin(is_base=True),
        LayerOrigin(is_base=False, line=3, text="RUN pip install six"),
        LayerOrigin(is_base=False, line=8, text="COPY . /srv"),
    )


def test_other_steps_are_told_by_their_time_and_words() -> None:
    """A base image with ONBUILD adds steps of its own: no line is guessed."""
    added = [BASE, *OWN, step("COPY more /more # buildkit")]
    found = find_layer_origins(added, DOCKERFILE, "runtime", (1, 2, 3))
    assert found[0].is_base
    assert [(each.line, each.text) for each in found[1:]] == [
        (None, "RUN /bin/sh -c pip install six"),
        (None, "COPY . /srv"),
        (None, "COPY more /more"),
    ]


def test_a_history_that_is_shorter_has_no_lines() -> None:
    """As of an image that was squashed."""
    assert find_layer_origins([step("squashed")], DOCKERFILE, None, (0,)) == (
        LayerOrigin(is_base=False, text="squashed"),
    )
