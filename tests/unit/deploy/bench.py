"""A service with a real repository and a real ledger, whose environment is in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from invoke.program import Program

import release as library
from release.config import Environment
from release.deploy.core.instance import Instance
from release.deploy.core.place import Place
from release.deploy.core.target import Target
from release.deploy.environment import environment
from release.deploy.environment.environment import LiveEnvironment, Workspace
from release.events import Emit
from release.git.source import Source
from release.ledger import query
from release.ledger.store import Ledger
from release.records import Record, Release
from release.reference import Digest
from release.runspec import RunSpec
from tests.unit.deploy.memory import Machine, MemoryTarget, stored_digest
from tests.unit.ledger import samples
from tests.unit.repository import Repository

TABLE = """\
[tool.release]
service = "api"
[tool.release.smoke]
port = 8000
[tool.release.environments.production]
env = { LOG_LEVEL = "info" }
watch = "0s"
"""


@dataclass
class MemoryBench:
    """A service, and the machine that it runs on."""

    repository: Repository
    capture: pytest.CaptureFixture[str]
    machine: Machine = field(default_factory=Machine)
    minute: int = 0
    images: str = "localhost/api"
    """Repository of the released images."""
    said: str = ""
    """Standard error of the last command."""

    def open(self, place: Place, settings: Environment, ports: Any, stack: ExitStack, emit: Emit) -> Target:
        """In the place of `release.deploy.targets.open_target`."""
        return MemoryTarget(self.machine, place)

    def release(self, version: str, *, healthy: bool = True) -> None:
        """Release it into the registry in memory."""
        self.minute += 1
        commit = self.repository.commit(f"feat: {version}")
        made = samples.release(version, commit=commit, at=samples.moment(self.minute), repository=self.images)
        with closing(Source.open(self.repository.root)) as source:
            Ledger.open(source, branch="release-ledger", remote=None).append([made])
        body = made.body
        assert isinstance(body, Release)
        digest = Digest(body.image.digest)
        self.machine.registry.add(digest)
        if not healthy:
            self.machine.sick.add(digest)

    @contextmanager
    def live(self) -> Iterator[LiveEnvironment]:
        """The environment."""
        opened = Workspace.open(self.repository.root, None, environ={}, emit=lambda _: None)
        with opened as workspace, workspace.live(None) as live:
            yield live

    def released(self, version: str) -> Record[Release]:
        """The record of a release."""
        with self.live() as live:
            found = query.release_of_version(live.workspace.ledger, "api", version)
        assert found is not None
        return found

    def foreign(self, version: str) -> str:
        """Start a release as another program would; the name of what runs."""
        image = Digest(self.released(version).body.image.digest)
        self.starts("web", image)
        return "web"

    def starts(self, name: str, image: Digest, spec: RunSpec | None = None, **labels: str) -> Instance:
        """Start an image without labels of ours."""
        self.machine.images.setdefault(image, stored_digest(image))
        one = Instance(
            id=self.machine.id(),
            name=name,
            image=image,
            status="running",
            health="none",
            restarts=0,
            started_at="2026-11-20T12:00:00Z",
            labels=labels,
        )
        self.machine.instances.append(one)
        self.machine.settings[one.id] = spec or RunSpec()
        return one

    def run(self, command: str, *words: str) -> tuple[int, Any]:
        """Run the real command in this process."""
        self.capture.readouterr()
        program = Program(namespace=library.namespace())
        status: object = 0
        try:
            program.run(["invoke", command, "--json", *words])
        except SystemExit as end:
            status = end.code
        seen = self.capture.readouterr()
        self.said = seen.err
        assert isinstance(status, int), seen.err
        return status or 0, json.loads(seen.out) if seen.out.strip() else None


@contextmanager
def memory_bench(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
) -> Iterator[MemoryBench]:
    """A bench with two good releases and one that never becomes healthy."""
    made = MemoryBench(repository=repository, capture=capture)
    repository.commit("feat: start", **{"pyproject.toml": TABLE, "tasks.py": ""})
    monkeypatch.setattr(environment, "open_target", made.open)
    monkeypatch.chdir(repository.root)
    made.release("0.1.0")
    made.release("0.2.0")
    made.release("0.3.0", healthy=False)
    yield made
