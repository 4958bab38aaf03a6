"""A terminal: what is drawn in place, what stays, and terminals that can do less."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.terminal import Seen, Terminal, python

PROLOGUE = """
import time
from collections.abc import Mapping
from pathlib import Path
from release.console import Console
from release.errors import GateFailed
from release.events import Failed, Finished, Notice, Progress, Started, Warned

def seen(seconds=0.3):
    time.sleep(seconds)
"""

RUN = """
with Console() as console:
    console.emit(Started(name="build"))
    console.emit(Started(name="lint"))
    console.emit(Progress(name="build", text="[runtime 2/4] COPY app /srv", passing=True))
    seen()
    console.emit(Finished(name="lint", duration_ms=1200, summary="ruff==0.14.5"))
    console.emit(Warned(text="look at this"))
    console.emit(Progress(name="build", text="[runtime 3/4] RUN " + "very-" * 60 + "long", passing=True))
    seen()
    console.emit(Progress(name="build", text="漢字かな" * 40, passing=True))
    seen()
    console.emit(Finished(name="build", duration_ms=65432, summary="55.7 MB"))
console.print_result("api 1.0.0")
"""


def show(script: str, terminal: Terminal | None = None, environ: Mapping[str, str] | None = None) -> Seen:
    return (terminal or Terminal()).run(python(PROLOGUE + script), env=environ)


def test_a_stage_has_one_live_line_with_time_and_what_it_does() -> None:
    """Each as long as it runs; what it does takes the place of what it did."""
    seen = show(RUN)
    frames = [[line for line in frame if line] for frame in seen.frames]
    assert any(
        len(frame) == 2
        and frame[0].startswith("▸ build  0.")
        and frame[0].endswith(" s  [runtime 2/4] COPY app /srv")
        and frame[1].startswith("▸ lint  0.")
        for frame in frames
    ), seen.text
    assert all(sum(line.startswith("▸ build") for line in frame) <= 1 for frame in frames)


def test_finished_lines_stay_and_live_ones_go() -> None:
    """In the end the terminal has what happened, and nothing that was passing."""
    assert show(RUN).lines == [
        "✓ lint  1.2 s  ruff==0.14.5",
        "! look at this",
        "✓ build  65.4 s  55.7 MB",
        "api 1.0.0",
    ]


@pytest.mark.parametrize("columns", [20, 21, 40])
def test_a_narrow_terminal_keeps_each_live_line_on_one_row(columns: int) -> None:
    """Long texts and wide characters are cut at its edge; what stays is whole."""
    seen = show(RUN, Terminal(columns, 24))
    live = [line for frame in seen.frames for line in frame if line.startswith("▸")]
    assert any(line.endswith("…") for line in live)
    rows = [sum(bool(line) for line in frame) for frame in seen.frames]
    assert max(rows) <= 8, seen.text
    assert "".join(seen.lines).replace(" ", "").endswith("✓build65.4s55.7MBapi1.0.0")


def test_a_low_terminal_shows_what_fits() -> None:
    """Ten stages on four rows: nothing scrolls away and nothing is left behind."""
    script = """
with Console() as console:
    for number in range(10):
        console.emit(Started(name=f"stage-{number}"))
    seen()
    for number in range(10):
        console.emit(Finished(name=f"stage-{number}", duration_ms=0))
"""
    assert show(script, Terminal(60, 4)).lines == [f"✓ stage-{number}  0.0 s" for number in range(10)]


def test_a_terminal_that_changes_its_size_goes_on() -> None:
    """What has finished is all there."""
    terminal = Terminal(80, 24)
    sizes = iter([(30, 10), (120, 40), (50, 12)])

    def resize(frame: tuple[str, ...]) -> None:
        if any(line.startswith("▸") for line in frame) and (size := next(sizes, None)) is not None:
            terminal.resize(*size)

    script = """
with Console() as console:
    for number in range(6):
        console.emit(Started(name="build"))
        console.emit(Progress(name="build", text="x" * 200))
        seen()
        console.emit(Finished(name="build", duration_ms=number * 1000))
"""
    seen = terminal.run(python(PROLOGUE + script), on_frame=resize)
    assert seen.status == 0
    assert next(sizes, None) is None
    for number in range(1, 6):
        assert f"✓ build  {number}.0 s" in seen.raw


def test_no_line_is_lost_between_those_that_are_drawn_again() -> None:
    """Several threads tell what they do and that they ended, as fast as they can."""
    script = """
import threading
with Console() as console:
    def work(name):
        for number in range(60):
            console.emit(Started(name=f"{name}-{number}"))
            console.emit(Progress(name=f"{name}-{number}", text="x" * 30, passing=True))
            time.sleep(0.005)
            console.emit(Finished(name=f"{name}-{number}", duration_ms=0))
    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
    seen = show(script, Terminal(80, 12))
    wanted = [f"✓ {name}-{number}  0.0 s" for name in "abcd" for number in range(60)]
    assert sorted(seen.lines) == sorted(wanted)


def test_a_failure_is_expanded_with_its_log_below_it(tmp_path: Path) -> None:
    """The last lines, where the whole log is, and what to do; no live line is left."""
    log = tmp_path / "test.log"
    log.write_text("many lines\n")
    script = f"""
with Console() as console:
    console.emit(Started(name="test"))
    console.emit(Started(name="push"))
    console.emit(Failed(name="test", duration_ms=3000, summary="failed", log=Path({str(log)!r})))
    console.emit(Failed(name="push", duration_ms=3000, summary="stopped", stopped=True))
    console.print_error(GateFailed("test", "status 1", "run it here", ["FAILED a", "1 failed"]))
"""
    assert show(script, Terminal(200, 24)).lines == [
        "✗ test  3.0 s  failed",
        "✗ push  3.0 s  stopped",
        "✗ cannot pass the gate 'test': status 1",
        "  │ FAILED a",
        "  │ 1 failed",
        "  → run it here",
        f"  → the whole log: {log}",
    ]


def test_the_cursor_stays_when_the_program_is_killed() -> None:
    """The terminal of somebody whose release was killed is usable."""
    script = """
import os, signal
console = Console()
console.emit(Started(name="build"))
seen()
os.kill(os.getpid(), signal.SIGKILL)
"""
    seen = show(script)
    assert seen.status == -9
    assert not seen.cursor_hidden


@pytest.mark.parametrize(
    "environ", [{"TERM": "dumb"}, {"CI": "true"}, {"TTY_INTERACTIVE": "0"}], ids=["dumb", "CI", "interactive"]
)
def test_a_terminal_that_cannot_draw_in_place_gets_plain_lines(environ: dict[str, str]) -> None:
    """One for each event, in order, and nothing is drawn again."""
    seen = show(RUN, environ=environ)
    assert [line for line in seen.lines if "漢" not in line and "very-" not in line] == [
        "▸ build",
        "▸ lint",
        "✓ lint  1.2 s  ruff==0.14.5",
        "! look at this",
        "✓ build  65.4 s  55.7 MB",
        "api 1.0.0",
    ]
    assert "\x1b[2K" not in seen.raw
    assert "\x1b[1A" not in seen.raw


def test_a_false_ci_is_no_ci() -> None:
    """As in a shell that says CI=false."""
    assert any(
        line.startswith("▸ build  0.")
        for frame in show(RUN, environ={"CI": "false"}).frames
        for line in frame
    )


def test_no_color_means_none() -> None:
    """Lines are still drawn in place; nothing has a colour, and nothing is bold."""
    seen = show(RUN, environ={"NO_COLOR": "1"})
    assert "\x1b[3" not in seen.raw
    assert "\x1b[1m" not in seen.raw
    assert any(line.startswith("▸ build  0.") for frame in seen.frames for line in frame)


def test_a_terminal_without_our_marks_gets_others() -> None:
    """LANG=C: ASCII, on both streams, and nothing fails."""
    seen = show(RUN, environ={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert seen.status == 0
    assert seen.raw.isascii()
    assert seen.lines[-3:] == ["! look at this", "+ build  65.4 s  55.7 MB", "api 1.0.0"]


def test_what_is_prepared_for_a_stage_that_has_no_line_is_not_told() -> None:
    """Its many lines are for a line that is drawn again."""
    script = """
with Console() as console:
    console.emit(Started(name="build"))
    console.emit(Progress(name="test", text="[test 1/2] COPY", passing=True))
    console.emit(Finished(name="build", duration_ms=0))
"""
    assert show(script).lines == ["✓ build  0.0 s"]


def test_secrets_are_masked_in_live_lines() -> None:
    """Also where a colour was put into one."""
    script = """
with Console(masks=["correct-horse"]) as console:
    console.emit(Started(name="test"))
    console.emit(Progress(name="test", text="token corr\\x1b[31mect-horse", passing=True))
    seen()
    console.emit(Finished(name="test", duration_ms=0))
"""
    seen = show(script)
    assert any("token ***" in line for frame in seen.frames for line in frame)
    assert "horse" not in seen.raw


def test_an_unexpected_error_leaves_the_terminal_clean() -> None:
    """Its trace stands alone, without a live line below."""
    script = """
console = Console()
console.emit(Started(name="build"))
seen()
console.print_unexpected_error(RuntimeError("a defect"))
"""
    assert show(script).lines == [
        "  │ RuntimeError: a defect",
        "✗ this is a defect of the release library: RuntimeError: a defect",
        "  → report it with the lines above; `invoke status` shows what runs",
    ]
