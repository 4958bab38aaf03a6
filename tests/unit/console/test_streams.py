"""Streams that are pipes, files, closed, full, or of another encoding."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.terminal import NEUTRAL, python

TALKING = """
from release.console import Console
from release.events import Failed, Finished, Notice, Progress, Started
with Console() as console:
    for number in range(400):
        console.emit(Started(name="build"))
        console.emit(Progress(name="build", text="\\x1b[31mred\\x1b[0m \\u202e\\r", passing=True))
        console.emit(Finished(name="build", duration_ms=1200, summary="✓ done → there"))
    console.print_result("the result ✓ 漢")
raise SystemExit(7)
"""


def sh(line: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """The talking program in a shell's line, where it is called `talk`."""
    script = f"set -o pipefail; talk() {{ {shlex.join(python(TALKING))}; }}; {line}"
    kept = {key: value for key, value in os.environ.items() if key not in NEUTRAL}
    return subprocess.run(
        ["bash", "-c", script],
        env={**kept, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_elsewhere_there_are_plain_lines_without_control() -> None:
    """A pipe gets no colours, no carriage returns, and nothing of a log's own control."""
    ran = sh("talk")
    assert ran.returncode == 7
    assert ran.stdout.decode() == "the result ✓ 漢\n"
    assert set(ran.stderr.decode().splitlines()) == {"▸ build", "✓ build  1.2 s  ✓ done → there"}
    assert set(ran.stderr) & set(range(32)) == {0x0A}


def test_forced_colour_is_colour_and_nothing_else() -> None:
    """FORCE_COLOR on a pipe: colours, and still one line for each event."""
    ran = sh("talk", FORCE_COLOR="1", TERM="xterm-256color")
    assert b"\x1b[3" in ran.stderr
    assert b"\x1b[2K" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 800


@pytest.mark.parametrize(
    "line",
    ["talk | head -1", "talk 2>&1 >/dev/null | head -1", "talk 2>&1 | head -1", "talk | true"],
)
def test_a_reader_that_leaves_early_changes_nothing(line: str) -> None:
    """The work goes on to its own status, and nobody complains."""
    ran = sh(line)
    assert ran.returncode == 7
    assert b"Traceback" not in ran.stdout + ran.stderr
    assert b"BrokenPipe" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("line", ["talk >&-", "talk 2>&-", "talk <&- >&- 2>&-"])
def test_closed_streams_are_nobody_reading(line: str) -> None:
    """The same status; what can be read still is."""
    ran = sh(line)
    assert ran.returncode == 7
    assert b"Traceback" not in ran.stderr
    if line == "talk 2>&-":
        assert ran.stdout.decode() == "the result ✓ 漢\n"


def test_a_result_that_cannot_be_written_is_told() -> None:
    """A full disk is no reader that left."""
    ran = sh("talk > /dev/full")
    assert ran.returncode == 7
    assert b"could not write the result to standard output: No space left on device" in ran.stderr


@pytest.mark.parametrize(
    "environ",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}],
    ids=["C", "ascii"],
)
def test_an_encoding_without_our_marks_gets_others(environ: dict[str, str]) -> None:
    """Nothing fails; what has no likeness in ASCII is written as its number."""
    ran = sh("talk", **environ)
    assert ran.returncode == 7
    assert ran.stdout == b"the result + \\u6f22\n"
    assert set(ran.stderr.splitlines()) == {b"> build", b"+ build  1.2 s  + done > there"}


def test_an_encoding_with_fewer_characters_is_heeded() -> None:
    """Latin-1 has the umlaut and not the mark."""
    script = "from release.console import Console; Console().print_result('ü ✓')"
    ran = sh(shlex.join(python(script)), PYTHONIOENCODING="latin-1")
    assert ran.stdout == b"\xfc +\n"


def test_a_file_gets_what_a_pipe_gets(tmp_path: Path) -> None:
    """`2> log` is for reading later."""
    log = tmp_path / "log"
    assert sh(f"talk 2> {log}").returncode == 7
    assert len(log.read_text().splitlines()) == 800
