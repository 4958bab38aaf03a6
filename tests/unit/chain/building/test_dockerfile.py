"""The stages of a Dockerfile, and which of them must not be released."""

from __future__ import annotations

from typing import Any

import pytest

from release.chain.building.dockerfile import parse_stages, refuse_release_of_test_stage
from release.errors import ConfigError
from tests.unit.chain.test_plan import configured

RUNTIME = 'FROM python AS runtime\nCMD ["python", "app.py"]\n'
TEST = "FROM runtime AS test\nCOPY tests /tests\n"


def refusal(dockerfile: str, **tables: Any) -> str:
    """What is said against it; an empty text where nothing is."""
    try:
        refuse_release_of_test_stage(dockerfile, configured(**tables).service("api"))
    except ConfigError as error:
        return str(error)
    return ""


def test_stages_are_read_as_they_are_written() -> None:
    """Over several lines, with options, comments, here-documents and in any case."""
    text = """# syntax=docker/dockerfile:1
ARG BASE=python
from --platform=linux/amd64 ${BASE} \\
  # a comment
  as Build
RUN <<EOF
FROM nowhere AS trap
CMD ["pytest"]
EOF
FROM build
CMD ["a", \\
     "b"]
"""
    first, last = parse_stages(text)
    assert (first.name, first.base, first.commands) == ("build", "${base}", ())
    assert (last.name, last.base) == ("", "build")
    assert last.commands[0].startswith('["a",')


@pytest.mark.parametrize(
    ("dockerfile", "tables"),
    [
        (RUNTIME + TEST, {"test": {"target": "test"}}),
        (RUNTIME + TEST.replace("test\n", "Test\n", 1), {"test": {"target": "test"}}),
        (RUNTIME + TEST + 'CMD ["python", "-m", "pytest", "-q"]\n', {}),
        (RUNTIME + TEST + "CMD pytest -q\n", {}),
        (RUNTIME + TEST + 'ENTRYPOINT ["/venv/bin/pytest"]\n', {}),
        (RUNTIME + TEST + 'CMD ["sh", "-c", "pytest -q && echo done"]\n', {}),
        (RUNTIME + TEST + 'CMD ["python", "manage.py", "test"]\n', {}),
        (RUNTIME + TEST + "CMD python -m unittest\n", {}),
        (RUNTIME + TEST + "CMD pytest\n", {"build": {"target": "test"}}),
    ],
    ids=["target", "case", "exec", "shell", "entrypoint", "sh -c", "django", "unittest", "named"],
)
def test_the_stage_of_the_tests_is_not_released(dockerfile: str, tables: dict[str, Any]) -> None:
    """The message has the lines to write."""
    said = refusal(dockerfile, **tables)
    assert "the stage `test` of Dockerfile would be released" in said
    assert 'build.target = "runtime" and test.target = "test"' in said


def test_without_a_stage_below_it_the_message_says_what_to_make() -> None:
    """As of a Dockerfile of one stage."""
    assert "put the tests into a stage of their own" in refusal("FROM python\nCMD pytest\n")


@pytest.mark.parametrize(
    ("dockerfile", "tables"),
    [
        (RUNTIME, {}),
        (RUNTIME + TEST, {"build": {"target": "runtime"}, "test": {"target": "test"}}),
        (RUNTIME + TEST + "CMD pytest\n", {"build": {"target": "runtime"}, "test": {"target": "test"}}),
        (RUNTIME + TEST, {"build": {"target": "test"}, "test": {"target": "test"}}),
        ("FROM python AS test\nFROM test AS runtime\nCMD serve\n", {"test": {"target": "test"}}),
        (RUNTIME + 'LABEL x="CMD pytest"\n', {}),
        (RUNTIME + 'CMD ["gunicorn", "pytest_report:app"]\n', {}),
        ("", {}),
        ("FROM", {}),
        ('FROM a\nCMD ["' + "[" * 10_000 + "\n", {}),
        ("FROM a\nCMD 'not closed\n", {}),
    ],
)
def test_other_stages_are_released_as_they_are(dockerfile: str, tables: dict[str, Any]) -> None:
    """A stage that both tables name is a choice. A broken file is BuildKit's to refuse."""
    assert refusal(dockerfile, **tables) == ""
