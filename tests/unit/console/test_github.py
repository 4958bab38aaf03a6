"""GitHub Actions: groups, annotations, masks, outputs and a summary."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from release.console import Console
from release.console.github import escape_data
from release.errors import GateFailed, ReleaseError
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
from release.secrets.redact import Redacted
from release.text.control_characters import inert
from tests import runner

PLANNED = Planned(
    service="api", version="1.0.0", commit="c" * 40, subject="feat: x", folder=".release/runs/r"
)
RELEASED = Released(
    service="api",
    version="1.0.0",
    digest="sha256:" + "d" * 64,
    reference="registry.example/api@sha256:" + "d" * 64,
    tag="v1.0.0",
    commits=("feat: a | b", "fix: <script> `x`"),
)
NASTY = "\n".join(
    [
        "::error file=evil.py::injected",
        "   ::set-output name=version::6.6.6",
        "text ##[add-mask]everything",
        "::stop-commands::mine",
        "::endgroup::",
        "::mine::",
        "\x1b[31mred\x1b[0m 100% %0A",
    ]
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The runner's files."""
    names = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
    return {name: tmp_path / name for name in names}


def rendered(
    capsys: pytest.CaptureFixture[str],
    files: dict[str, Path],
    *events: Event,
    error: ReleaseError | None = None,
    masks: tuple[str, ...] = (),
) -> runner.Read:
    """What the runner makes of these events."""
    environ = {"GITHUB_ACTIONS": "true", **{name: str(path) for name, path in files.items()}}
    with Console(masks, environ=environ) as console:
        for event in events:
            console.emit(event)
        if error is not None:
            console.print_error(error)
    out, err = capsys.readouterr()
    assert out == ""
    return runner.read(err)


def test_each_stage_is_a_group_with_its_log_when_it_ends(
    tmp_path: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Stages that run at the same time do not mix; a stage without a log is a line."""
    for name in ("lint", "build"):
        (tmp_path / f"{name}.log").write_text(f"{name} 1\n{name} 2\n")
    read = rendered(
        capsys,
        files,
        Started(name="lint"),
        Started(name="build"),
        Finished(name="build", duration_ms=500, summary="55 MB", log=tmp_path / "build.log"),
        Failed(name="lint", duration_ms=900, summary="failed", log=tmp_path / "lint.log"),
        Finished(name="promote", duration_ms=0),
    )
    assert read.groups == {
        "✓ build  0.5 s  55 MB": ["build 1", "build 2"],
        "✗ lint  0.9 s  failed": ["lint 1", "lint 2"],
    }
    assert [line for line in read.lines if line and line[-1] not in "12"] == [
        "▸ lint",
        "▸ build",
        "✓ promote  0.0 s",
    ]


def test_a_log_cannot_give_the_runner_commands(
    tmp_path: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """What a test prints is shown and commands nothing: no annotation, no output, no end of the group."""
    (tmp_path / "test.log").write_text(NASTY + "\n")
    read = rendered(
        capsys, files, Finished(name="test", duration_ms=1, log=tmp_path / "test.log"), Started(name="x")
    )
    assert {command.name for command in read.commands} == {"group", "stop-commands", "endgroup"}
    (lines,) = read.groups.values()
    assert lines == inert(NASTY).split("\n")
    assert read.lines[-2:] == ["▸ x", ""]


def test_nothing_else_that_is_printed_gives_commands(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Subjects of commits, progress, notices, the end of a log in an error."""
    read = rendered(
        capsys,
        files,
        Notice(text=NASTY),
        Progress(name="a", text=NASTY),
        Planned(service="api", version="1", commit="c", subject=NASTY, folder="f"),
        Finished(name="a", duration_ms=1, summary=NASTY),
        error=GateFailed("test", NASTY, NASTY, NASTY.split("\n")),
    )
    assert [command.name for command in read.commands] == ["error"]
    assert read.commands[0].data.startswith(": :error file=evil.py::injected\n")


def test_findings_are_annotations_with_file_and_line(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten of them, as many as are kept; how many more there are is said."""
    findings = [
        Finding(
            file="api/a,b:c%.py",
            line=number,
            column=3,
            title="ruff F401: x, y",
            message="100%:\nunused, really",
        )
        for number in range(1, 13)
    ]
    read = rendered(capsys, files, Found(name="lint", findings=tuple(findings)))
    errors = read.named("error")
    assert len(errors) == 10
    assert errors[0].data == "100%:\nunused, really"
    assert errors[0].properties == {
        "file": "api/a,b:c%.py",
        "line": "1",
        "col": "3",
        "title": "ruff F401: x, y",
    }
    assert "• 2 more findings are in the log" in read.lines


def test_a_finding_without_a_line_names_the_file(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is made up."""
    read = rendered(
        capsys, files, Found(name="test", findings=(Finding(file="a.py", line=None, title="t", message="m"),))
    )
    assert read.named("error")[0].properties == {"file": "a.py", "title": "t"}


def test_the_error_and_warnings_are_annotations_too(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The error with what was attempted as its title; it is also in the log, as everywhere."""
    read = rendered(
        capsys, files, Warned(text="look"), error=ReleaseError("read the ledger", "it is gone", "restore it")
    )
    assert [command.data for command in read.named("warning")] == ["look"]
    (error,) = read.named("error")
    assert (error.properties["title"], error.data) == ("cannot read the ledger", "it is gone\nrestore it")
    assert "✗ cannot read the ledger: it is gone" in read.lines


def test_outputs_can_be_used_by_later_steps(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Version, digest and reference."""
    rendered(capsys, files, RELEASED)
    assert runner.outputs(files["GITHUB_OUTPUT"].read_text()) == {
        "version": "1.0.0",
        "digest": RELEASED.digest,
        "reference": RELEASED.reference,
    }


def test_outputs_of_a_deployment_name_it(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Environment and deployment besides."""
    event = Deployed(
        service="api",
        environment="production",
        version="1.0.0",
        digest="d",
        reference="r",
        deployment="abc",
        changed=True,
    )
    rendered(capsys, files, event)
    found = runner.outputs(files["GITHUB_OUTPUT"].read_text())
    assert (found["environment"], found["deployment"]) == ("production", "abc")
    assert "### ✓ api 1.0.0 runs in production" in files["GITHUB_STEP_SUMMARY"].read_text()


def test_an_output_of_several_lines_is_one_output(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """No value can end itself and begin another one."""
    event = Released(service="a", version="1\nEOF\nother<<x\ny", digest="d", reference="r", tag=None)
    rendered(capsys, files, event)
    found = runner.outputs(files["GITHUB_OUTPUT"].read_text())
    assert set(found) == {"version", "digest", "reference"}
    assert found["version"] == event.version


def test_the_summary_of_a_release(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Version, digest, reference, stages with times, commits, warnings; nothing of them is markup."""
    rendered(
        capsys,
        files,
        PLANNED,
        Finished(name="build", duration_ms=1234, summary="55.7 MB | x"),
        Warned(text="not in git: <b>"),
        RELEASED,
    )
    assert files["GITHUB_STEP_SUMMARY"].read_text() == (
        "### ✓ api 1.0.0 is released\n\n"
        "|  |  |\n| --- | --- |\n"
        "| version | `1.0.0` |\n"
        f"| digest | `{RELEASED.digest}` |\n"
        f"| reference | `{RELEASED.reference}` |\n"
        "| git tag | `v1.0.0` |\n"
        f"| commit | `{'c' * 40}` |\n\n"
        "| stage |  | time |  |\n| --- | --- | --- | --- |\n"
        "| build | ✓ | 1.2 s | 55.7 MB \\| x |\n\n"
        "#### Commits\n\n- feat: a \\| b\n- fix: \\<script\\> \\`x\\`\n\n"
        "#### Warnings\n\n- not in git: \\<b\\>\n"
    )


def test_the_summary_of_a_failure(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """What failed, why, the end of the log and the next step."""
    rendered(
        capsys,
        files,
        PLANNED,
        Failed(name="test", duration_ms=1000, summary="failed"),
        error=GateFailed("test", "status 1", "run it here", ["```", "1 failed"]),
    )
    page = files["GITHUB_STEP_SUMMARY"].read_text()
    assert page.startswith("### ✗ api 1.0.0: pass the gate 'test' failed\n")
    assert "| test | ✗ | 1.0 s | failed |" in page
    assert "#### Error\n\nstatus 1\n\n````text\n```\n1 failed\n````\n\n→ run it here\n" in page


def test_a_run_of_gates_alone_says_so(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """As `nox -s check`: nothing is released, and there are no outputs."""
    rendered(capsys, files, PLANNED, Finished(name="lint", duration_ms=1))
    assert "### ✓ api 1.0.0: all gates passed\n" in files["GITHUB_STEP_SUMMARY"].read_text()
    assert not files["GITHUB_OUTPUT"].exists()


def test_files_that_cannot_be_written_are_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A release does not fail for its summary."""
    read = rendered(capsys, {"GITHUB_OUTPUT": tmp_path / "none" / "file"}, RELEASED)
    assert [command.data for command in read.named("warning")] == [
        "could not write GITHUB_OUTPUT: No such file or directory; later steps may lack values"
    ]


def test_secrets_are_in_nothing_that_is_written(
    tmp_path: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Log, annotations, summary, outputs; also where the log has one over two lines."""
    secret = "correct-horse-battery"
    (tmp_path / "test.log").write_text(f"token {secret}\ncorrect-horse\n-battery\n")
    environ = {"GITHUB_ACTIONS": "true", **{name: str(path) for name, path in files.items()}}
    with Console([secret], environ=environ) as console:
        console.emit(Finished(name="test", duration_ms=1, summary=secret, log=tmp_path / "test.log"))
        console.emit(Found(name="test", findings=(Finding(file="a", line=1, title=secret, message=secret),)))
        console.emit(Warned(text=secret))
        console.emit(Released(service="a", version=secret, digest="d", reference=secret, tag=secret))
        console.print_error(GateFailed("test", secret, secret, [secret]))
    written = "".join(capsys.readouterr()) + "".join(path.read_text() for path in files.values())
    assert "horse" not in written
    assert "-battery" not in written


HIDING = """
from release.console import Console
from release.secrets.redact import Redacted
Console().mask_values([Redacted("first-line\\nsecond%line\\n\\n")])
"""


def test_the_runner_is_asked_to_mask_what_becomes_secret(tmp_path: Path) -> None:
    """Line by line, on the runner's pipe; never into a file, where the value would stay."""
    argv, env = [sys.executable, "-c", HIDING], {"GITHUB_ACTIONS": "true"}
    piped = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    commands = runner.read(piped.stderr).commands
    assert {(command.name, command.data) for command in commands} == {
        ("add-mask", "first-line"),
        ("add-mask", "second%line"),
    }
    assert piped.stdout == ""
    log = tmp_path / "log"
    with log.open("w") as file:
        subprocess.run(argv, env=env, stderr=file, check=True)
    assert log.read_text() == ""


@pytest.mark.parametrize("text", ["100%", "a\r\nb", "%0A", "::x::"])
def test_a_message_is_read_back_as_it_was(text: str) -> None:
    """What the runner decodes is what was meant."""
    assert runner.plain(escape_data(text)) == text


def test_text_that_looks_like_a_command_is_made_inert_and_stays_readable() -> None:
    """Only where a command would begin."""
    assert inert("a::b\n  ::warning::x\n##[error]y ## z") == "a::b\n  : :warning::x\n## [error]y ## z"


def test_redacted_values_are_masks_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A console that is given secrets at its making does not print them to have them masked."""
    Console([Redacted("known-before")], environ={"GITHUB_ACTIONS": "true"})
    assert capsys.readouterr() == ("", "")
