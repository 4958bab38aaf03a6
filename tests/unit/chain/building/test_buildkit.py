"""A build that is stopped because another gate failed."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.chain.building import buildkit
from release.errors import Cancelled
from release.events import Event, Progress
from release.images.engine import Engine
from release.programs.cancellation import Cancellation
from release.programs.process import Command
from release.reference import Reference
from tests.unit.chain.test_pipeline import ctx

T0, T1 = "2026-11-30T01:59:22Z", "2026-11-30T01:59:25Z"


def said(number: int, **changes: Any) -> str:
    vertex = {"digest": f"sha256:{number}", "name": f"[ {number}/10] RUN {number}", "started": T0, **changes}
    return json.dumps({"vertexes": [vertex]})


BUILD = f"""
echo '{said(1)}'
while ! test -e "$0"; do sleep 0.02; done
echo '{said(1, completed=T1)}'
echo '{said(2)}'
sleep 60
"""
"""A builder whose first step ends when the file is there, and whose second one takes a minute."""


def stopped(tmp_path: Path, cancellation: Cancellation, *, gently: bool) -> str:
    """The log of a build that is stopped in its first step, which could end while it is waited for."""
    go_on, seen = tmp_path / "go on", threading.Event()

    class Events(list[Event]):
        def append(self, event: Event) -> None:
            if isinstance(event, Progress) and "RUN 1" in event.text:
                seen.set()
            if isinstance(event, Progress) and "finishing the current build step" in event.text:
                go_on.touch()

    def stop() -> None:
        seen.wait()
        cancellation.request("another gate failed", gently=gently)

    made = ctx(
        tmp_path, Events(), cancellation=cancellation, open_engine=lambda: cast("Engine", SimpleNamespace())
    )
    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(Cancelled):
        buildkit.run_buildkit(
            made, "build", Reference.parse("a:1"), Command(argv=("sh", "-c", BUILD, str(go_on)))
        )
    stopping.join()
    return made.run_folder.log_path("build").read_text()


def test_a_step_that_runs_is_finished_when_another_gate_fails(tmp_path: Path) -> None:
    """BuildKit would begin it again the next time. The step after it is not waited for."""
    log = stopped(tmp_path, Cancellation(), gently=True)
    assert "#1 DONE 3.0s" in log
    assert "#2 DONE" not in log


def test_a_signal_stops_a_build_at_once(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C does not wait."""
    assert "DONE" not in stopped(tmp_path, Cancellation(), gently=False)


def test_a_signal_ends_the_wait_for_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that comes after the gate failed."""
    cancellation = Cancellation()
    real = buildkit._wait_for_running_steps

    def finish(*words: Any) -> None:
        cancellation.request("SIGINT arrived")
        real(*words)

    monkeypatch.setattr(buildkit, "_wait_for_running_steps", finish)
    assert "DONE" not in stopped(tmp_path, cancellation, gently=True)
    assert cancellation.reason == "another gate failed"


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ("v0.13.1", "rawjson"),
        ("0.13.1+ds1", "rawjson"),
        ("v1.0.0", "rawjson"),
        ("v0.12.5", "plain"),
        ("?", "plain"),
    ],
)
def test_progress_is_structured_where_buildx_has_it(
    monkeypatch: pytest.MonkeyPatch, version: str, mode: str
) -> None:
    """`--progress rawjson` came with buildx 0.13."""
    monkeypatch.setattr(buildkit, "buildx_version", lambda: version)
    command = Command(argv=("docker", "buildx", "build", "--progress", buildkit.STRUCTURED, "-"))
    assert buildkit._use_supported_progress(command).argv == (
        "docker",
        "buildx",
        "build",
        "--progress",
        mode,
        "-",
    )
