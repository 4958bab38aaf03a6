"""The invoke door: what it imports, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from release.console import Console
from release.errors import LockHeld, MixedState, ReleaseError, Restored
from release.programs.interruption import Interruption
from release.tasks import guarded

TASKS = "import release\nns = release.namespace()\n"
SMOKE = '[project]\nname = "api"\n[tool.release.smoke]\nport = 8000\n'


def invoke(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "invoke", *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service's repository with the two small files."""
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "pyproject.toml").write_text(SMOKE)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def test_listing_the_tasks_imports_nothing_heavy() -> None:
    """docker, git and the parser of the configuration wait until a task runs."""
    code = (
        "import sys, release; release.namespace(); "
        "print(*sorted({'docker', 'git', 'pydantic', 'requests', 'rich'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("command", ["rollback", "status"])
def test_a_task_imports_nothing_that_only_others_need(command: str) -> None:
    """It waits for every import: none of a Swarm, a proxy, a registry, a pull or another task is there."""
    others = (
        *(
            "release.deploy.targets.swarm",
            "release.deploy.targets.engine.proxies",
            "release.deploy.targets.engine.start_first",
            "release.chain",
        ),
        *(
            "release.images.registry",
            "release.deploy.targets.swarm.api",
            "release.commands.verify",
            "packaging",
        ),
    )
    code = (
        f"import sys; from release.commands import load_task_function as load; load({command!r}); "
        f"print(*sorted({set(others)!r} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_the_list_names_every_task(service: Path) -> None:
    """With one line each, from any folder below."""
    (service / "deep" / "er").mkdir(parents=True)
    out = invoke(service / "deep" / "er", "-l").stdout
    for task in (
        "deploy",
        "rollback",
        "status",
        "history",
        "show",
        "diff",
        "converge",
        "quarantine",
        "freeze",
        "thaw",
        "sync",
        "verify",
        "drill",
        "prune",
        "doctor",
        "metrics",
        "ledger-rebuild",
    ):
        assert f"  {task} " in out


@pytest.mark.parametrize(
    "task",
    [
        "deploy",
        "rollback",
        "status",
        "history",
        "show",
        "diff",
        "converge",
        "quarantine",
        "freeze",
        "thaw",
        "sync",
        "verify",
        "drill",
        "prune",
        "doctor",
        "ledger-rebuild",
    ],
)
def test_every_option_has_its_help(service: Path, task: str) -> None:
    """No option stands alone."""
    done = invoke(service, "--help", task)
    options = done.stdout.partition("Options:\n")[2].splitlines()
    assert done.returncode == 0
    assert options
    assert all(len(line.split(None, 2)) > 2 or not line.lstrip().startswith("-") for line in options if line)


@pytest.mark.parametrize(
    "words",
    [
        ("deploy", "--tp", "1.0.0"),
        ("show",),
        ("no-such-task",),
        ("history", "--limit", "many"),
        ("show", "--help"),
        ("verify",),
    ],
)
def test_a_wrong_command_line_ends_with_two(service: Path, words: tuple[str, ...]) -> None:
    """invoke itself would say 1, which means here that something was tried."""
    done = invoke(service, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_wrong_configuration_is_rendered_and_ends_with_two(service: Path) -> None:
    """Every problem at once, nothing on standard output."""
    (service / "pyproject.toml").write_text(SMOKE + "pat = 1\n[tool.release.tests]\n")
    done = invoke(service, "status")
    assert (done.returncode, done.stdout) == (2, "")
    assert "tool.release.smoke.pat" in done.stderr
    assert "tool.release.tests" in done.stderr


def test_outside_of_a_repository_the_error_says_so(tmp_path: Path) -> None:
    """One message, no traceback."""
    (tmp_path / "tasks.py").write_text(TASKS)
    done = invoke(tmp_path, "status")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ReleaseError("a", "b"), 1),
        (LockHeld("a", "b"), 5),
        (Restored("a", "b"), 3),
        (MixedState("a", "b"), 4),
        (RuntimeError("a defect"), 1),
    ],
)
def test_an_error_ends_with_its_own_status(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rendered once, on standard error."""

    def body(_console: Console, _interruption: Interruption) -> int:
        raise error

    assert guarded(body) == status
    assert capsys.readouterr().out == ""


def killed(number: signal.Signals) -> int:
    def body(_console: Console, _interruption: Interruption) -> int:
        os.kill(os.getpid(), number)
        time.sleep(5)
        return 0

    return guarded(body)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_as_the_shell_expects(number: signal.Signals, status: int) -> None:
    """128 and the number of the signal."""
    assert killed(number) == status


@pytest.mark.parametrize(
    ("done", "said"), [(False, "nothing was changed"), (True, "the command had finished; its result stays")]
)
def test_a_signal_tells_whether_it_came_too_late(
    done: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """While what comes after a deployment is under way, as pruning, something was changed."""

    def body(_console: Console, interruption: Interruption) -> int:
        interruption.too_late = done
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return 0

    assert guarded(body) == 143
    assert f"SIGTERM arrived: {said}" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "status"), [(Restored("a", "b"), 143), (MixedState("a", "b"), 4)])
def test_a_signal_after_which_everything_is_as_before_ends_as_the_signal(
    error: ReleaseError, status: int
) -> None:
    """A mixed state is worse than the signal, and keeps its own status."""

    def body(_console: Console, interruption: Interruption) -> int:
        with interruption.held():
            os.kill(os.getpid(), signal.SIGTERM)
            raise error

    assert guarded(body) == status


SECOND = """
import signal, time
from release.programs.interruption import SAME_SECONDS
from release.tasks import guarded
def body(console, interruption):
    with interruption.held():
        signal.raise_signal(signal.SIGTERM)
        time.sleep(SAME_SECONDS * 2)
        signal.raise_signal(signal.SIGTERM)
    return 0
print(guarded(body))
"""


def test_a_second_signal_ends_a_task_at_once_and_says_how_to_go_on() -> None:
    """Who insists is not kept waiting by what is put back; what is left half done has a command."""
    ran = subprocess.run(
        [sys.executable, "-c", SECOND], check=False, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout) == (143, "")
    assert "`invoke converge`" in ran.stderr
