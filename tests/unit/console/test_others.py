"""Text of others, on every way that it takes to a stream, a page, an annotation or a document."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings

from release.console import Console
from release.console.report import escape_for_markdown
from release.errors import ConfigError, DeploymentFailed, GateFailed, Problem, ReleaseError
from release.events import (
    Deployed,
    Event,
    Failed,
    Finding,
    Finished,
    Found,
    Notice,
    Planned,
    Progress,
    Released,
    Started,
    Warned,
)
from tests import runner
from tests.unit.hostile import commands_in, hostile

VIEWS = {
    "github": {"GITHUB_ACTIONS": "true"},
    "gitlab": {"GITLAB_CI": "true"},
    "ci": {"CI": "true"},
    "pipe": {},
}
OURS = {"github": {"group", "stop-commands", "endgroup", "warning", "error"}}
GITLAB = re.compile(r"\x1b\[0Ksection_(?:start:\d+:\w+\[collapsed=true\]|end:\d+:\w+)\r\x1b\[0K\n?")


def events(text: str, log: Path) -> Sequence[Event]:
    """Each kind, with the text wherever others have a word."""
    log.write_bytes(text.encode("utf-8", "surrogatepass") + b"\n")
    known = {"service": "api", "version": "1.0.0", "digest": text, "reference": text}
    return (
        Planned(service="api", version="1.0.0", commit="c" * 40, subject=text, folder=text),
        Started(name="test"),
        Progress(name="test", text=text),
        Progress(name="test", text=text, passing=True),
        Finished(name="test", duration_ms=1, summary=text, log=log),
        Failed(name="smoke", duration_ms=1, summary=text, log=log),
        Notice(text=text),
        Warned(text=text),
        Found(name="lint", findings=(Finding(file=text, line=1, title=text, message=text),)),
        Released(**known, tag=text, commits=(text,)),
        Deployed(**known, environment=text, deployment=text, changed=True),
    )


def errors(text: str) -> Sequence[ReleaseError]:
    """Each shape of error."""
    return (
        GateFailed("test", text, text, [text]),
        DeploymentFailed(text, text, text, [text]),
        ConfigError(text, [Problem(path=text, message=text)]),
    )


def told(console: Console, text: str, log: Path) -> None:
    """All that a console can be asked to show."""
    for event in events(text, log):
        console.emit(event)
    console.print_fields(text, [(text, text), ("label", f"{text}\n{text}")])
    for error in errors(text):
        console.print_error(error)
    console.print_unexpected_error(ValueError(text))
    console.print_result(text)
    console.print_sheet(text, [(text, text)])
    console.print_table(("a", text), [(text, text)])


@pytest.fixture(scope="module", params=VIEWS)
def view(request: pytest.FixtureRequest) -> str:
    """Who reads the output."""
    name: str = request.param
    return name


@pytest.mark.attack(
    "a commit subject, log, name or answer that is a command of GitHub or GitLab, or moves the cursor",
    "standard output, standard error, annotations, groups and the summary show it as text",
)
@settings(max_examples=40, deadline=None)
@given(text=hostile)
def test_no_stream_or_page_is_commanded(view: str, text: str) -> None:
    """Every event, error and result, for every reader."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        out, err, files = io.StringIO(), io.StringIO(), Path(folder)
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        paths = {name: str(files / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        with Console(environ={**VIEWS[view], **paths}) as console:
            told(console, text, files / "test.log")
        assert commands_in(out.getvalue()) == []
        assert _commands_of_others(view, err.getvalue()) == []
        for path in paths.values():
            if Path(path).exists():
                assert commands_in(Path(path).read_text()) == []


def _commands_of_others(view: str, text: str) -> list[str]:
    """What commands, but for our own commands."""
    if view == "gitlab":
        text = GITLAB.sub("", text)
    if view != "github":
        return commands_in(text)
    read = runner.read(text)
    found = [command.name for command in read.commands if command.name not in OURS["github"]]
    assert len(read.named("group")) == len(read.named("endgroup")) <= 2
    assert len(read.named("warning")) == 1
    return found + commands_in("\n".join(read.lines))


@settings(max_examples=40, deadline=None)
@given(text=hostile)
def test_no_line_of_others_looks_like_one_of_ours(text: str) -> None:
    """As many lines begin with a mark as events were told."""
    with pytest.MonkeyPatch.context() as patch:
        err, out = io.StringIO(), io.StringIO()
        patch.setattr("sys.stderr", err)
        patch.setattr("sys.stdout", out)
        with Console(environ={}) as console:
            console.emit(Notice(text=text))
            console.print_error(ReleaseError(text, text, text))
            console.print_result(text)
        begun = [line for line in err.getvalue().split("\n") if line and not line[0].isspace()]
        assert [line[0] for line in begun] == ["•", "✗"]
        assert sum(1 for line in out.getvalue().split("\n") if line and not line[0].isspace()) <= 1


@settings(max_examples=40, deadline=None)
@given(text=hostile)
def test_a_document_is_json_whatever_is_in_it(text: str) -> None:
    """And holds the text for who reads it with a program."""
    with pytest.MonkeyPatch.context() as patch:
        out = io.StringIO()
        patch.setattr("sys.stdout", out)
        Console(environ={"GITHUB_ACTIONS": "true"}).print_json({"message": text, text: [text]})
    assert commands_in(out.getvalue()) == []
    assert out.getvalue().isascii()
    assert json.loads(out.getvalue())["message"] == re.sub("[\ud800-\udfff]", "\ufffd", text)


@pytest.mark.attack(
    "a text with control sequences that take the escapes of Markdown along when they are removed",
    "text for the summary is made inert before it is written as Markdown",
)
@pytest.mark.parametrize(
    "text",
    [
        "\x1b[click\x1b]\x1b(http://evil.example\x1b)",
        "\x1b<img src=x\x1b>",
        "a \x1b| b",
        "https://evil.example @everyone www.evil.example",
    ],
)
def test_a_summary_has_no_markup_of_others(text: str, tmp_path: Path) -> None:
    """No link, no picture, no cell, no address, nobody is mentioned."""
    summary = tmp_path / "summary"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    with Console(environ=environ) as console:
        console.emit(Finished(name="test", duration_ms=1, summary=text))
        console.emit(Warned(text=text))
    page = re.sub(r"\\.", "", summary.read_text())
    assert not re.search(r"[\[\]<>()@]|://|www\.", page.replace("### ✓ release: all gates passed", ""))
    rows = [line for line in page.split("\n") if line.startswith("| test")]
    assert [row.count("|") for row in rows] == [5]


def test_a_fence_is_longer_than_any_that_comes_out(tmp_path: Path) -> None:
    """Two backticks, a control character and another one are three."""
    summary = tmp_path / "summary"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    with Console(environ=environ) as console:
        console.print_error(GateFailed("test", "x", "", ["``\x00`", "<b>"]))
    assert "````text\n```\n<b>\n````" in summary.read_text()


def test_a_secret_with_marks_of_markdown_is_masked_on_the_page(tmp_path: Path) -> None:
    """It would be another text when they are escaped."""
    summary = tmp_path / "summary"
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    with Console(["pa_ss*word"], environ=environ) as console:
        console.emit(Finished(name="test", duration_ms=1, summary="it is pa_ss*word"))
    assert r"it is \*\*\*" in summary.read_text()


@pytest.mark.parametrize("text", ["1. x", "- x", "=== x", "100% (a_b) #12"])
def test_text_of_a_page_is_read_back_as_it_was(text: str) -> None:
    """CommonMark 0.31, 2.4: a backslash before punctuation is not shown."""
    assert re.sub(r"\\(?=\W)", "", escape_for_markdown(text)).replace("\\_", "_") == text
