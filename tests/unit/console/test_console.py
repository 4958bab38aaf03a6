"""What people see, and on which stream."""

from __future__ import annotations

import json
import subprocess
import sys
from threading import Thread

import pytest

from release.console import Console
from release.errors import ConfigError, DeploymentFailed, GateFailed, Problem, ReleaseError
from release.events import Event, Failed, Finished, Notice, Progress, Started, Warned
from release.secrets.redact import Redacted


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Started(name="build"), "▸ build"),
        (Progress(name="build", text="step 3"), "· build: step 3"),
        (Finished(name="build", duration_ms=1234, summary="87 MB"), "✓ build  1.2 s  87 MB"),
        (Finished(name="lock", duration_ms=40), "✓ lock  0.0 s"),
        (Failed(name="test", duration_ms=2000, summary="1 failed"), "✗ test  2.0 s  1 failed"),
        (Notice(text="nothing to build"), "• nothing to build"),
        (Warned(text="[bold]not markup[/bold]"), "! [bold]not markup[/bold]"),
    ],
)
def test_an_event_is_one_plain_line_on_standard_error(
    event: Event, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it is on standard output, and no colour without a terminal."""
    Console().emit(event)
    assert capsys.readouterr() == ("", f"{line}\n")


def test_the_result_alone_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Text and documents."""
    Console().print_result("api 0.1.0")
    Console().print_json({"a": ["ü"]})
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("api 0.1.0\n")
    assert json.loads(out.partition("\n")[2]) == {"a": ["ü"]}


def test_an_error_shows_attempt_finding_tail_and_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    """In this order, the log's end set apart."""
    Console().print_error(GateFailed("test", "exit status 1", "read the log", ["FAILED a", "FAILED b"]))
    assert capsys.readouterr().err.splitlines() == [
        "✗ cannot pass the gate 'test': exit status 1",
        "  │ FAILED a",
        "  │ FAILED b",
        "  → read the log",
    ]


def test_the_last_lines_of_a_container_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A deployment's failure carries them."""
    Console().print_error(DeploymentFailed("deploy", "it ended", tail=["Traceback"]))
    assert "  │ Traceback\n" in capsys.readouterr().err


def test_a_configuration_error_lists_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    """Each on a line of its own."""
    problems = [Problem(path="a.b", message="unknown key"), Problem(path="c", message="required")]
    Console().print_error(ConfigError("pyproject.toml", problems))
    assert "  a.b: unknown key\n  c: required\n" in capsys.readouterr().err


def test_an_unexpected_error_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """And ends with one line."""
    try:
        raise RuntimeError("a defect with canary-secret")
    except RuntimeError as error:
        Console(masks=["canary-secret"]).print_unexpected_error(error)
    lines = capsys.readouterr().err.splitlines()
    assert any("test_console.py" in line for line in lines)
    assert lines[-2] == "✗ this is a defect of the release library: RuntimeError: a defect with ***"


def test_secrets_are_masked_in_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """Events, results, tables, errors; also those that become known later."""
    console = Console(masks=["canary-1"])
    console.mask_values([Redacted("canary-2")])
    text = "canary-1 canary-2"
    console.emit(Progress(name="a", text=text))
    console.print_result(text)
    console.print_json({"a": text})
    console.print_sheet(text, [(text, text)])
    console.print_table([text], [[text]])
    console.print_fields(text, [(text, text)])
    console.print_error(ReleaseError(text, text, text))
    assert "canary" not in "".join(capsys.readouterr())


def test_a_log_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control sequences are dropped."""
    Console().emit(Progress(name="test", text="\x1b[31mred\x1b[0m \x1b]0;title\x07end"))
    assert "\x1b" not in capsys.readouterr().err


def test_fields_are_aligned_and_keep_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A value of two lines stays in its column."""
    Console().print_fields("plan", [("to", "0.2.0\nreleased"), ("engine", "local")])
    assert capsys.readouterr().err == "plan\n  to      0.2.0\n          released\n  engine  local\n"


def test_a_table_has_aligned_columns_and_one_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    """A message of two lines becomes one."""
    Console().print_table(["version", "message"], [["0.1.0", "two\nlines"], ["0.10.0", ""]])
    assert capsys.readouterr().out == "version  message\n0.1.0    two lines\n0.10.0\n"


def test_lines_of_several_threads_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Each event is one line, whoever emits it."""
    console = Console()

    def talk() -> None:
        for _ in range(50):
            console.emit(Progress(name="stage", text="x" * 200))

    threads = [Thread(target=talk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(capsys.readouterr().err.splitlines()) == {"· stage: " + "x" * 200}


def test_no_question_is_asked_without_a_terminal() -> None:
    """Under a test runner there is none."""
    assert not Console().can_ask


TALKING = """
from release.console import Console
from release.events import Notice
console = Console()
for number in range(20_000):
    console.print_result(f"line {number}")
    console.emit(Notice(text=f"event {number}"))
raise SystemExit(7)
"""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_does_not_stop_the_work(stream: str) -> None:
    """`| head` closes the pipe; the program goes on to its own exit status, without a word."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", TALKING], **pipes) as process:  # type: ignore[call-overload]
        reader = getattr(process, stream)
        reader.readline()
        reader.close()
        assert process.wait(60) == 7
