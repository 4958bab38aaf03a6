"""Context of a running stage: the plan, the tools, the results of earlier stages, its log."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property, partial
from typing import Any, Literal

from release.cancellation import Cancellation
from release.chain.background import BackgroundTasks
from release.chain.once import Once
from release.chain.plan import Plan
from release.chain.products import Products
from release.chain.reports import Reports
from release.chain.run_folder import RunFolder
from release.events import Emit, Progress
from release.images.engine import Engine
from release.ledger.store import Ledger
from release.owner import Owner
from release.process import Command, Completed, append_to_log, run
from release.records import Actor, Gate, Run
from release.redact import Mask, Redacted
from release.secret import Unresolved, resolve_secrets
from release.source import Source
from release.values import Reticent, field

Purpose = Literal["release", "check", "other"]


class StageContext(Reticent, frozen=True, kw_only=True, dict=True):
    """The place where a chain runs."""

    unshown = frozenset({"environ"})

    plan: Plan
    source: Source
    folder: RunFolder
    actor: Actor
    run: Run
    emit: Emit
    open_engine: Callable[[], Engine]
    open_ledger: Callable[[], Ledger]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    mask: Mask = field(default_factory=Mask)
    """Takes secrets out of what is written: the environment's, and the build's once it is lent them."""
    cancellation: Cancellation = field(default_factory=Cancellation)
    products: Products = field(default_factory=Products)
    gates: list[Gate] = field(default_factory=list)
    made: dict[str, tuple[Gate, Any]] = field(default_factory=dict)
    """Gates and products of the stages that are done, by the stage's name."""
    purpose: Purpose = "other"
    """The session: a release and a check leave something for other machines, in places of their own."""
    reusable: frozenset[str] = frozenset()
    """Stages that need not run again where they have passed on the same inputs."""
    once: threading.Lock = field(default_factory=threading.Lock)
    """Held while something is made that is one for the whole run, whoever needs it first."""
    single: Once = field(default_factory=Once)
    """Values that several stages need, such as the build context."""
    aside: BackgroundTasks = field(default_factory=BackgroundTasks)
    """Tasks that no stage waits for."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def _engine(self) -> Engine:
        return self.open_engine()

    @property
    def engine(self) -> Engine:
        """The engine that builds and tests; reached when the first stage asks for it."""
        with self._lock:
            return self._engine

    @property
    def build_secrets(self) -> tuple[Mapping[str, Redacted], tuple[Unresolved, ...]]:
        """Return what the build is lent, by id, and what could not be read.

        Asked for once: a command may ask a person.
        """
        with self.once:
            return self._build_secrets

    @cached_property
    def _build_secrets(self) -> tuple[Mapping[str, Redacted], tuple[Unresolved, ...]]:
        sources = self.plan.service.build.secrets
        values, unread = resolve_secrets(
            sources, root=self.source.root, environ=self.environ, tell=partial(self.say, "build")
        )
        self.mask.hide(values.values())
        return values, unread

    @property
    def reports(self) -> Reports:
        """Return what the run leaves for other programs, beside its own folder."""
        return Reports(path=self.folder.home / "reports" / self.plan.service.service)

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
        """Run a program for a stage: logged and cancellable, its output without secrets.

        Args:
            stage: whose progress it is.
            command: what is run.
            log: name of the log; absent: the stage's.
            check: whether a status other than 0 is an error.
            shown: what people see of a line while it runs.
            translate: gives the text that is output for each line of the program.
            before_stop: called when the program is about to be stopped; may wait.
        """
        self.write_log(log or stage, [f"$ {command}"])
        return run(
            command,
            log=self.folder.log(log or stage),
            mask=self.mask,
            cancellation=self.cancellation,
            on_line=lambda line: self.flash(stage, shown(line)),
            check=check,
            translate=translate,
            before_stop=before_stop,
        )

    def logging(self, stage: str) -> AbstractContextManager[Callable[[str], None]]:
        """Append text to the stage's log while the block runs, without secrets."""
        return append_to_log(self.folder.log(stage), self.mask)

    def write_log(self, stage: str, lines: Iterable[str]) -> None:
        """Add lines to a stage's log, without secrets."""
        with self.logging(stage) as write:
            for line in lines:
                write(f"{line}\n")

    def say(self, stage: str, text: str) -> None:
        """Report what the stage does now, for people and for its log."""
        self.write_log(stage, [text])
        self.emit(Progress(name=stage, text=text))

    def flash(self, stage: str, text: str) -> None:
        """One of many lines of what the stage does; an empty one says nothing."""
        if text.strip():
            self.emit(Progress(name=stage, text=text, passing=True))

    def labels(self, role: str) -> dict[str, str]:
        """Labels of what this run puts into the engine, so that it can be found and removed."""
        return {
            "release.run": self.folder.id,
            "release.role": role,
            "release.service": self.plan.service.service,
            **Owner.here().labels(),
        }

    def container_labels(self, role: str) -> dict[str, str]:
        """Labels of a container of this run: with one that no image of a run has."""
        return {**self.labels(role), "release.container": f"{self.folder.id} {role}"}

    @contextmanager
    def container(self, create: Callable[[], str]) -> Iterator[str]:
        """A container for the block: nobody waits until it is removed, and no cancelled run keeps it.

        One that is left by a run that was killed meanwhile, the next run removes: `leftovers.sweep`.
        """
        self.cancellation.check()
        container = create()
        try:
            with self.cancellation.stopping(lambda: self.engine.remove(container)):
                yield container
        finally:
            self.aside.do(lambda: self.engine.remove(container))


def evidence(gate: str, facts: Mapping[str, Any]) -> bytes:
    """Return what a gate saw, as bytes to be hashed into the record."""
    return json.dumps({"gate": gate, **facts}, sort_keys=True, separators=(",", ":")).encode()
