"""What people and CI systems see of real runs of nox and invoke."""

from __future__ import annotations

import base64
import re
import shlex
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from release.images.engine import Engine
from tests import runner
from tests.engine import lab
from tests.engine.chain.conftest import Make, make
from tests.engine.service import DOCKERFILE, IDENTITY, TEST, Ran, Service
from tests.engine.test_docs import ROOT, blocks, general
from tests.terminal import NEUTRAL, Seen, Terminal

__all__ = ["make"]

NOX = (sys.executable, "-m", "nox", "-s")
INVOKE = (sys.executable, "-m", "invoke")
LINE = re.compile(r"svc-\w+ 0\.1\.0 \S+@sha256:[0-9a-f]{64}")
RUFF = f"{shlex.quote(sys.executable)} -m ruff check --isolated --no-cache app.py"


def on(terminal: Terminal, service: Service, *argv: str, pipe_out: bool = False, **environ: str) -> Seen:
    return terminal.run(argv, cwd=service.folder, env={**IDENTITY, **environ}, pipe_out=pipe_out)


def quiet(service: Service, *argv: str, **environ: str) -> Ran:
    """A run whose environment says of no CI system but the one that is given."""
    return service.run(*argv, **{**dict.fromkeys(NEUTRAL, ""), **environ})


def live(seen: Seen, name: str) -> list[str]:
    """Every live line that a stage had."""
    found = [line for frame in seen.frames for line in frame if re.match(rf"▸ {name}  [\d.]+ s", line)]
    return list(dict.fromkeys(found))


def missing(excerpt: int, printed: str, service: Service) -> list[str]:
    """Lines of an excerpt in the how-to that a run did not print."""
    shown = [block.text for block in blocks(ROOT / "docs/how-to/ci.md") if block.kind == "text"][excerpt]
    said = printed.replace(service.name, "api").replace(shlex.quote(sys.executable), "PYTHON")
    known = {general(line) for line in said.splitlines()}
    return [line for line in shown.splitlines() if general(line) not in known]


@pytest.mark.timeout(300)
def test_a_release_and_a_rollback_on_a_terminal(make: Make, engine: Engine) -> None:
    """Live lines while it runs, then what happened, on eighty columns and on forty."""
    port = lab.free_port()
    service = make(
        files={"test.py": f"{TEST}sys.stdout.flush()\n__import__('time').sleep(1)\n"},
        environments={"production": {"publish": [f"127.0.0.1:{port}:8000"], "watch": "0s"}},
    )
    seen = on(Terminal(80, 30), service, *NOX, "release")
    assert seen.status == 0, seen.text
    assert any(re.search(r"  \[\w+ .*\] \w+ ", line) for line in live(seen, "build")), live(seen, "build")
    assert any("asking /healthz" in line for line in live(seen, "smoke"))
    assert any("1 passed" in line for line in live(seen, "test"))
    ended = [line.split()[1] for line in seen.lines if line.startswith("✓")]
    assert set(ended) == {"lock", "lint", "build", "test", "smoke", "push", "record", "promote"}
    assert ended[-2:] == ["record", "promote"]
    assert not any(line.startswith("▸") for line in seen.lines)
    assert LINE.fullmatch("".join(seen.lines[-2:])), seen.text

    first = on(Terminal(40, 30), service, *INVOKE, "deploy", "--to", "0.1.0", "--yes", pipe_out=True)
    assert first.status == 0, first.text
    assert first.out.startswith(f"{service.name} 0.1.0 production healthy localhost/")
    assert "▸ health" in first.raw
    assert all(len(line) < 40 for name in ("start", "health") for line in live(first, name))
    assert sum(line.startswith("✓") for line in first.lines) == 2


PYTEST = "RUN python3 -m pip install --quiet --no-cache-dir --root-user-action=ignore pytest==9.0.1"
WAYS = {
    "a target": (
        DOCKERFILE.replace("COPY test.py /test.py", f"USER 0\n{PYTEST}\nCOPY test_app.py /tests/"),
        {"target": "test", "command": ["python3", "-m", "pytest", "/tests"]},
    ),
    "a layer": (
        DOCKERFILE,
        {
            "install": ["pytest==9.0.1"],
            "copy": ["test_app.py"],
            "command": ["python3", "-m", "pytest", "/test_app.py"],
        },
    ),
    "the image": (
        DOCKERFILE.replace(
            "COPY app.py /srv/app.py", f"{PYTEST} --target /srv/lib\nCOPY app.py test_app.py /srv/"
        ),
        {
            "command": ["python3", "-m", "pytest", "-p", "no:cacheprovider", "/srv/test_app.py"],
            "env": {"PYTHONPATH": "/srv/lib"},
        },
    ),
}
TEST_APP = """\
import os


def test_well():
    print("::error::injected")


def test_wrong():
    assert os.environ.get("GREETING") == "hello, 100%"
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", WAYS)
def test_a_failed_test_is_an_annotation_and_junit_comes_out(way: str, make: Make, tmp_path: Path) -> None:
    """In all three ways of testing; the report is in the run's folder and where CI systems look for it."""
    dockerfile, settings = WAYS[way]
    service = make(files={"Dockerfile": dockerfile, "test_app.py": TEST_APP}, test=settings)
    ran = quiet(service, *NOX, "test", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    assert ran.status == 1, ran.all
    read = runner.read(ran.err)
    finding, error = read.named("error")
    assert finding.properties["file"] == "test_app.py"
    assert finding.properties["line"] == "9"
    assert finding.properties["title"].endswith("test_app.py::test_wrong")
    assert "hello, 100%" in finding.data
    assert error.properties["title"] == "cannot pass the gate 'test'"
    assert "| test | ✗ |" in (tmp_path / "summary").read_text()
    (group,) = [lines for title, lines in read.groups.items() if title.startswith("✗ test")]
    assert any("1 failed, 1 passed" in line for line in group)
    stable = service.folder / f".release/reports/{service.name}/junit.xml"
    (kept,) = service.folder.glob(".release/runs/*/junit.xml")
    assert stable.read_bytes() == kept.read_bytes()
    assert {case.get("name") for case in ElementTree.parse(stable).iter("testcase")} == {  # noqa: S314
        "test_well",
        "test_wrong",
    }


def test_lint_findings_are_annotations(make: Make) -> None:
    """ruff's, with file and line from the repository's root; other programs' output is left to people."""
    service = make(lint={"commands": [RUFF]})
    service.commit("feat: wrong", {"app.py": "import json\n"})
    ran = quiet(service, *NOX, "lint", GITHUB_ACTIONS="true")
    assert ran.status == 1, ran.all
    finding, _error = runner.read(ran.err).named("error")
    assert finding.properties == {"file": "app.py", "line": "1", "col": "8", "title": "ruff F401"}
    assert finding.data == "`json` imported but unused"
    assert ran.out == ""
    assert missing(0, ran.err, service) == []


@pytest.mark.timeout(300)
def test_a_release_on_github_has_outputs_and_a_summary(make: Make, tmp_path: Path) -> None:
    """Also when it is run again and nothing is built; standard output has the result alone."""
    service = make()
    for attempt in ("first", "again"):
        output, summary = tmp_path / f"{attempt}-output", tmp_path / f"{attempt}-summary"
        ran = quiet(
            service,
            *NOX,
            "release",
            GITHUB_ACTIONS="true",
            GITHUB_OUTPUT=str(output),
            GITHUB_STEP_SUMMARY=str(summary),
        )
        assert ran.status == 0, ran.all
        found = runner.outputs(output.read_text())
        assert ran.out == f"{service.name} 0.1.0 {found['reference']}\n"
        assert found["reference"].endswith(f"@{found['digest']}")
        assert f"### ✓ {service.name} 0.1.0 is released\n" in summary.read_text()
        variables = (service.folder / f".release/reports/{service.name}/release.env").read_text()
        assert f"RELEASE_REFERENCE={found['reference']}\n" in variables
        assert missing(2, variables, service) == []
    first = (tmp_path / "first-summary").read_text()
    assert missing(1, first, service) == []
    assert "- feat: greet\n" in first
    assert all(f"\n| {stage} | ✓ |" in first for stage in ("lock", "lint", "build", "test", "smoke", "push"))


SECRET = "correct-horse-battery-staple-9f3c"
TELLING = DOCKERFILE.replace(
    "COPY app.py",
    "RUN --mount=type=secret,id=token cat /run/secrets/token; base64 -w 12 /run/secrets/token; "
    "cut -c 1-12 /run/secrets/token; cut -c 13- /run/secrets/token\nCOPY app.py",
)


FAILING = TELLING.replace("13- /run/secrets/token", "13- /run/secrets/token; exit 3")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("system", "dockerfile"),
    [("GITHUB_ACTIONS", TELLING), ("GITLAB_CI", TELLING), ("GITHUB_ACTIONS", FAILING)],
)
def test_a_secret_that_a_build_prints_is_nowhere(
    make: Make, tmp_path: Path, system: str, dockerfile: str
) -> None:
    """As it is, in base64, in pieces on lines of their own: not in the output, not in a file of the run."""
    service = make(
        files={"Dockerfile": dockerfile},
        build={"target": "runtime", "secrets": {"token": {"from_env": "TOKEN"}}},
    )
    ran = quiet(
        service,
        *(*NOX, "check", "--", "--no-cache"),
        TOKEN=SECRET,
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary"),
        **{system: "true"},
    )
    assert ran.status == (1 if dockerfile == FAILING else 0), ran.all
    shown = "\n".join(line for line in ran.err.splitlines() if not line.startswith("::add-mask::"))
    kept = [path.read_bytes().decode(errors="replace") for path in service.folder.glob(".release/runs/*/*")]
    encoded = base64.b64encode(SECRET.encode()).decode()
    pieces = [SECRET[:12], SECRET[12:24], *(encoded[at : at + 12] for at in range(0, 44, 12))]
    everything = "\n".join([shown, ran.out, *kept])
    assert [piece for piece in pieces if piece in everything] == []
    assert "***" in shown
    if system == "GITLAB_CI":
        assert {"build", "test"} <= set(re.findall(r"section_start:\d+:release_(\w+)_\d", ran.err))


@pytest.mark.timeout(300)
def test_a_release_whose_reader_leaves_is_made_all_the_same(make: Make) -> None:
    """`| head -2`: nobody reads the rest, the status is that of the release, and the next run says so."""
    service = make()
    command = f"set -o pipefail; {shlex.join([*NOX, 'release'])} 2>&1 | head -2"
    ran = quiet(service, "bash", "-c", command)
    assert ran.status == 0, ran.all
    assert "Traceback" not in ran.all
    again = quiet(service, *NOX, "release")
    assert "nothing to build" in again.err
    assert LINE.fullmatch(again.last_line)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_a_session_with_a_closed_stream_does_its_work(closed: str, make: Make) -> None:
    """As daemons and cron start programs."""
    service = make(lint={"commands": [RUFF]})
    ran = quiet(service, "bash", "-c", f"{shlex.join([*NOX, 'lint'])} {closed}")
    assert ran.status == 0, ran.all
    assert "Traceback" not in ran.all
    (stages,) = service.folder.glob(".release/runs/*/stages.jsonl")
    assert '"passed"' in stages.read_text()


@pytest.mark.parametrize(
    ("environ", "mark"),
    [
        ({"CI": "true"}, "✓"),
        ({"TERM": "dumb"}, "✓"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "+"),
    ],
    ids=["CI", "dumb", "C"],
)
def test_a_session_on_a_terminal_that_can_do_less(environ: dict[str, str], mark: str, make: Make) -> None:
    """Plain lines where lines cannot be drawn again; other marks where ours cannot be written."""
    service = make(lint={"commands": [RUFF]})
    seen = Terminal(60, 20).run([*NOX, "lint"], cwd=service.folder, env={**IDENTITY, **environ})
    assert seen.status == 0, seen.text
    assert any(line.startswith(f"{mark} lint  ") for line in seen.lines), seen.text
    if mark == "✓":
        assert "▸ lint" in seen.lines
        assert "\x1b[2K" not in seen.raw


def test_a_failed_session_on_a_narrow_terminal(make: Make) -> None:
    """Twenty-four columns: the finding, the log's end and where the log is can be read."""
    service = make(lint={"commands": [RUFF]})
    service.commit("feat: wrong", {"app.py": "import json\n"})
    seen = on(Terminal(24, 20), service, *NOX, "lint", NO_COLOR="1")
    assert seen.status == 1
    text = "".join(seen.lines)
    assert "✗ cannot pass the gate 'lint'" in text
    assert "the whole log: .release/runs/" in text.replace("\n", "")
    assert "Found 1 error." in text
