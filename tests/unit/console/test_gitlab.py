"""GitLab CI: sections that open and close."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from release.console import Console
from release.events import Event, Failed, Finished, Started

START = re.compile(r"\x1b\[0Ksection_start:(\d+):([\w.-]+)\[collapsed=true\]\r\x1b\[0K(.*)\n")
END = re.compile(r"\x1b\[0Ksection_end:(\d+):([\w.-]+)\r\x1b\[0K\n")


def rendered(capsys: pytest.CaptureFixture[str], *events: Event) -> str:
    with Console(["correct-horse"], environ={"GITLAB_CI": "true"}) as console:
        for event in events:
            console.emit(event)
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_each_stage_is_a_section_with_its_log_when_it_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its times are those of the stage, its name is its own, and it is closed at first."""
    log = tmp_path / "test.log"
    log.write_text("1 passed\n")
    text = rendered(
        capsys,
        Started(name="test"),
        Finished(name="test", duration_ms=65_000, summary="1 passed", log=log),
        Failed(name="te:st", duration_ms=1000, summary="failed", log=log),
    )
    (began, name, title), (_, other, _) = START.findall(text)
    (ended, end_name), (_, other_end) = END.findall(text)
    assert int(ended) - int(began) == 65
    assert title == "✓ test  65.0 s  1 passed"
    assert (name, other) == (end_name, other_end) == ("release_test_1", "release_te_st_2")
    assert START.sub("", END.sub("", text)) == "▸ test\n1 passed\n1 passed\n"


def test_a_log_cannot_open_or_close_sections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its control characters are dropped, and its secrets are masked."""
    log = tmp_path / "test.log"
    log.write_text("\x1b[0Ksection_end:1:release_test_1\r\x1b[0Kafter correct-horse\n")
    text = rendered(capsys, Finished(name="test", duration_ms=1, log=log))
    assert len(END.findall(text)) == 1
    assert "section_end: 1:release_test_1after ***\n" in text


def test_a_stage_without_a_log_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to open; a log that is gone is none."""
    text = rendered(
        capsys,
        Finished(name="record", duration_ms=10),
        Finished(name="promote", duration_ms=10, log=tmp_path / "gone.log"),
    )
    assert text == "✓ record  0.0 s\n✓ promote  0.0 s\n"


def test_a_log_that_is_very_long_is_cut_at_its_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end is what matters; where the rest is, is said."""
    log = tmp_path / "test.log"
    log.write_text("".join(f"line {number}\n" for number in range(1, 6001)))
    text = rendered(capsys, Finished(name="test", duration_ms=1, log=log))
    assert f"(1000 lines before this one are in {log})\nline 1001\n" in text
    assert "line 6000\n" in text
