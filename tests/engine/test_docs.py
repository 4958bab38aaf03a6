"""Every command line that the documents show is run, and prints what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.service import IDENTITY

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
TUTORIAL = ROOT / "docs/tutorial/first-release.md"
FENCE = re.compile(
    r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
DOORS = {"./dev release", "./dev tests"}
"""Run by `.ci/run` itself."""

VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| [A-Z]{3,5})"), "TIME"),
    (re.compile(r"\b[0-9a-f]{7,64}\b"), "HEX"),
    (re.compile(r"\d+\.\d+ ?(s|MB)\b"), "NUMBER"),
    (re.compile(r"\s{2,}"), "  "),
)


@dataclass(frozen=True)
class Block:
    """A fenced block: the file it is, or what kind of text."""

    file: str | None
    kind: str
    text: str


@dataclass(frozen=True)
class Shown:
    """A command and the lines that the document shows below it."""

    command: str
    lines: tuple[str, ...]


def blocks(document: Path) -> Iterator[Block]:
    for match in FENCE.finditer(document.read_text(encoding="utf-8")):
        yield Block(match["file"], match["kind"], match["text"])


def shown(block: Block) -> Iterator[Shown]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *lines = part.rstrip("\n").split("\n")
        yield Shown(command, tuple(line for line in lines if line.strip()))


def commands(document: Path) -> list[str]:
    return [each.command for block in blocks(document) if block.kind == "console" for each in shown(block)]


def general(line: str) -> str:
    """The line with what differs from run to run taken out."""
    for pattern, word in VARYING:
        line = pattern.sub(word, line)
    return line.strip()


@dataclass
class Walk:
    """A reader who types what the tutorial says, in one shell's folder and environment.

    Their service and its port are their own, so that a developer's own `hello` stays as it is.
    """

    folder: Path
    environ: dict[str, str]
    service: str = field(default_factory=lambda: lab.unique("hello"))
    port: int = field(default_factory=lab.free_port)

    def own(self, text: str) -> str:
        """What the tutorial says, with their names, and one second of watching where it has ten."""
        text = text.replace("hello", self.service).replace("8080", str(self.port))
        watch = "[tool.release.environments.production]\n"
        return text.replace(watch, f'{watch}watch = "1s"\n').replace("10s after it", "1s after it")

    def file(self, block: Block) -> None:
        (self.folder / (block.file or "")).write_text(block.text)

    def type(self, step: Shown) -> None:
        if step.command.startswith("cd "):
            self.folder = (self.folder / step.command.removeprefix("cd ")).resolve()
            return
        ran = subprocess.run(
            ["bash", "-c", step.command],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        printed = {general(line) for line in ran.stdout.splitlines()}
        missing = [line for line in step.lines if general(line) not in printed]
        assert not missing, f"$ {step.command}\n{ran.stdout}\nnot printed: {missing}"
        assert ran.returncode == 0 or any("✗" in line for line in step.lines), ran.stdout


@pytest.fixture
def reader(tmp_path: Path, engine: Engine) -> Iterator[Walk]:
    """A reader in a copy of this repository, with the environment's programs on the path."""
    copy = tmp_path / "release"
    copy.mkdir()
    shutil.copytree(
        ROOT / "examples", copy / "examples", ignore=shutil.ignore_patterns(".*_cache", "__pycache__")
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    made = Walk(folder=copy, environ={**os.environ, **IDENTITY, "PATH": path, "NO_COLOR": "1"})
    yield made
    lab.remove_service(engine, made.service)


def test_the_tutorial_does_what_it_says(reader: Walk) -> None:
    """A reader who types every line sees every line that is shown."""
    for block in blocks(TUTORIAL):
        ours = Block(block.file, block.kind, reader.own(block.text))
        if ours.file is not None:
            reader.file(ours)
        elif ours.kind == "console":
            for step in shown(ours):
                if step.command not in DOORS and not step.command.startswith("export PATH"):
                    reader.type(step)


def test_every_other_command_is_one_that_the_tutorial_or_ci_runs() -> None:
    """README and how-to pages show no command line that nobody runs."""
    known = DOORS | set(commands(TUTORIAL))
    for document in DOCUMENTS:
        unknown = [command for command in commands(document) if command not in known]
        assert not unknown, f"{document.name}: {unknown}"


def test_links_between_documents_lead_somewhere() -> None:
    """Every relative link names a file of this repository."""
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_ci_runs_the_readmes_two_commands() -> None:
    """What the README promises is what CI does."""
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "for session in release tests" in ci
    assert './dev "$session"' in ci
    assert set(commands(ROOT / "README.md")) >= {"./dev release", "./dev tests"}
