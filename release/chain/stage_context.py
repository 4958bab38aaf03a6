"""Context of a running stage: the plan, the tools, the results of earlier stages, its log."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from typing import Any, Literal

from release.chain.background import BackgroundTasks
from release.chain.once import SharedValues
from release.chain.plan import Plan
from release.chain.products import Products
from release.chain.reports import ReportFolder
from release.chain.run_folder import RunFolder
from release.events import Emit, Progress
from release.git.source import Source
from release.images.engine import Engine
from release.ledger.store import Ledger
from release.programs.cancellation import Cancellation
from release.programs.owner import Owner
from release.programs.process import Command, Completed, append_to_log, run
from release.records import Actor, Gate, Run
from release.secrets.redact import Mask, Redacted
from release.secrets.sources import Unresolved, resolve_secrets
from release.values import Reticent, field

Purpose = Literal["release", "check", "other"]


class StageContext(Reticent, frozen=True, kw_only=True, dict=True):
    """Context of all stages of a run."""

    unshown = frozenset({"environ"})

    plan: Plan
    source: Source
    run_folder: RunFolder
    actor: Actor
    run: Run
    emit: Emit
    open_engine: Callable[[], Engine]
    open_ledger: Callable[[], Ledger]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    mask: Mask = field(default_factory=Mask)
    """Removes secrets from all output: the environment's, and the build's once they are read."""
    cancellation: Cancellation = field(default_factory=Cancellation)
    products: Products = field(default_factory=Products)
    gates: list[Gate] = field(default_factory=list)
    completed: dict[str, tuple[Gate, Any]] = field(default_factory=dict)
    """Gates and products of completed stages, by stage name."""
    purpose: Purpose = "other"
    """Purpose of the session: a release and a check write shared results for other machines."""
    reusable: frozenset[str] = frozenset()
    """Names of stages that may use a cached result."""
    once_lock: threading.Lock = field(default_factory=threading.Lock)
    """Lock for work that a run does once, for the first stage that needs it."""
    shared_values: SharedValues = field(default_factory=SharedValues)
    """Values that several stages need, such as the build context."""
    background: BackgroundTasks = field(default_factory=BackgroundTasks)
    """Background tasks that no stage waits for."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def _engine(self) -> Engine:
        return self.open_engine()

    @property
    def engine(self) -> Engine:
        """Return the engine that builds and tests, connected on first use."""
        with self._lock:
            return self._engine

    @property
    def build_secrets(self) -> tuple[Mapping[str, Redacted], tuple[Unresolved, ...]]:
        """Return the build secrets by id, and the secrets that could not be read.

        Asked for once: a command may ask a person.
        """
        with self.once_lock:
            return self._build_secrets

    @cached_property
    def _build_secrets(self) -> tuple[Mapping[str, Redacted], tuple[Unresolved, ...]]:
        sources = self.plan.service.build.secrets
        values, unread = resolve_secrets(
            sources, root=self.source.root, environ=self.environ, tell=partial(self.report_progress, "build")
        )
        self.mask.hide(values.values())
        return values, unread

    @property
    def reports(self) -> ReportFolder:
        """Return the reports for other programs, outside of the run's folder."""
        return ReportFolder(path=self.run_folder.release_folder / "reports" / self.plan.service.service)

    def execute(
        self,
        stage: str,
        command: Command,
        *,
        log: str | None = None,
        check: bool = True,
        shown: Callable[[str], str] = str,
        translate: Callable[[str], str] = str,
        before_stop: Callable[[], None] = lambda: None,
    ) -> Completed:
        """Run a program for a stage: logged, cancellable, its output without secrets.

        Args:
            stage: the stage that reports progress.
            command: the program to run.
            log: name of the log; absent: the stage's.
            check: whether a status other than 0 is an error.
            shown: returns the text to show for a line of output.
            translate: returns the text that replaces a line of output.
            before_stop: called when the program is about to be stopped; may wait.
        """
        self.write_log(log or stage, [f"$ {command}"])
        return run(
            command,
            log=self.run_folder.log_path(log or stage),
            mask=self.mask,
            cancellation=self.cancellation,
            on_line=lambda line: self.show_brief_progress(stage, shown(line)),
            check=check,
            translate=translate,
            before_stop=before_stop,
        )

    def open_log(self, stage: str) -> AbstractContextManager[Callable[[str], None]]:
        """Yield a function that appends text, without secrets, to the stage's log."""
        return append_to_log(self.run_folder.log_path(stage), self.mask)

    def write_log(self, stage: str, lines: Iterable[str]) -> None:
        """Append lines, without secrets, to a stage's log."""
        with self.open_log(stage) as write:
            for line in lines:
                write(f"{line}\n")

    def report_progress(self, stage: str, text: str) -> None:
        """Report the stage's current work as progress and in its log."""
        self.write_log(stage, [text])
        self.emit(Progress(name=stage, text=text))

    def show_brief_progress(self, stage: str, text: str) -> None:
        """Report one of many short-lived progress lines; an empty line is not shown."""
        if text.strip():
            self.emit(Progress(name=stage, text=text, passing=True))

    def labels(self, role: str) -> dict[str, str]:
        """Return the labels of this run's objects in the engine, for finding and removing them."""
        return {
            "release.run": self.run_folder.id,
            "release.role": role,
            "release.service": self.plan.service.service,
            **Owner.here().labels(),
        }

    def container_labels(self, role: str) -> dict[str, str]:
        """Return the labels of this run's containers, with one that no image has."""
        return {**self.labels(role), "release.container": f"{self.run_folder.id} {role}"}

    @contextmanager
    def container(self, create: Callable[[], str]) -> Iterator[str]:
        """Yield a container for the block; remove it afterwards in the background.

        If the run is killed, the next run removes the container: `stale_runs`.
        """
        self.cancellation.check()
        container = create()
        try:
            with self.cancellation.stopping(lambda: self.engine.remove(container)):
                yield container
        finally:
            self.background.add(lambda: self.engine.remove(container))


def evidence_bytes(gate: str, facts: Mapping[str, Any]) -> bytes:
    """Return the evidence of a gate as bytes, for the hash in the record."""
    return json.dumps({"gate": gate, **facts}, sort_keys=True, separators=(",", ":")).encode()
