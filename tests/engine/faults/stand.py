"""Where a cell of the matrix is played: a clone, its server, a registry behind a proxy, and the chain itself.

The gates before the push have passed once for all cells, on the real engine; what comes after them is run for
every cell, by the pipeline that `nox -s release` runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from unittest import mock

import requests

from release.chain.assemble import Project
from release.chain.building.stage import BuiltImage
from release.chain.linting.stage import LintPassed
from release.chain.lockgate.gate import LockChecked
from release.chain.pipeline import STAGES, Stage, run_stages, stages_needed_for
from release.chain.plan import Options
from release.chain.publishing.promote import tag_release
from release.chain.smoking.record import recorded_smoke
from release.chain.smoking.stage import SmokePassed
from release.chain.stage_context import StageContext
from release.chain.testing.stage import TestsPassed
from release.config import Push
from release.errors import ReleaseError
from release.events import Event, Finished, Notice, Started
from release.images.engine import Engine
from release.images.registry import DOCKER_MANIFEST, OCI_MANIFEST
from release.ledger.branch import Branch
from release.ledger.remote import Remote
from release.ledger.store import Ledger
from release.programs.process import output_of
from release.records import Gate
from release.reference import Digest
from release.values import replace
from tests import schemas
from tests.engine import lab
from tests.engine.faults.case import (
    Cell,
    Clock,
    FullDisk,
    Gone,
    Hook,
    Moved,
    Proxied,
    ReadOnly,
    Silent,
    Taken,
)
from tests.engine.faults.proxy import FaultProxy, fault_proxy
from tests.engine.service import Service, make_service

VERSION: Final = "0.1.0"
_AFTER: Final = ("push", "record", "promote")
_DOCKERFILE: Final = "FROM scratch AS runtime\nCOPY --link app.py /\nCOPY --link pad /\n"
_PAD: Final = 300_000
"""Bytes that do not compress, so that a transfer has a middle."""
_ACCEPT: Final = f"{OCI_MANIFEST}, {DOCKER_MANIFEST}"


@dataclass(frozen=True, kw_only=True)
class Passed:
    """A service whose gates have passed: its server's repository, and what the gates made."""

    service: Service
    remote: Path
    products: tuple[object, ...]
    built: BuiltImage
    gates: tuple[Gate, ...]


def passed_gates(folder: Path) -> Passed:
    """Lock, lint and build for real; nothing in the image could run, so tests and smoke are values."""
    remote = lab.make_bare_remote(folder / "remote.git")
    pad = "".join(chr(33 + byte % 90) for byte in os.urandom(_PAD))
    files = {"Dockerfile": _DOCKERFILE, "pad": pad}
    service = make_service(folder / "service", remote=remote, files=files)
    project = Project.open(service.folder, None, _nobody)
    ctx = project.create_context(project.plan_release(project.read_facts(Options()), Options()))
    run_stages(ctx, stages_needed_for(("lock", "lint", "build")))
    built = ctx.products.get(BuiltImage)
    products = (ctx.products.get(LockChecked), ctx.products.get(LintPassed), *_unrunnable(ctx))
    return Passed(service=service, remote=remote, products=products, built=built, gates=tuple(ctx.gates))


def _nobody(_event: Event) -> None:
    """Hears nothing."""


def _unrunnable(ctx: StageContext) -> tuple[object, ...]:
    spec = recorded_smoke(ctx.plan.service)
    return TestsPassed(evidence=b"", summary=""), SmokePassed(spec=spec, evidence=b"", summary="")


@dataclass(kw_only=True)
class Stand:
    """One cell's own clone and server."""

    cell: Cell
    passed: Passed
    engine: Engine
    service: Service
    remote: Path
    registry: lab.RunningRegistry
    proxy: FaultProxy
    name: str = field(default_factory=lab.unique)
    host: str = ""
    told: list[str] = field(default_factory=list)
    at: dict[tuple[type, str], Callable[[], object]] = field(default_factory=dict)
    """What happens when a stage starts or ends."""
    stack: ExitStack = field(default_factory=ExitStack)

    # the run

    def run(self) -> ReleaseError | None:
        """What `nox -s release` does after the gates have passed; the error it ends with."""
        self.told.clear()
        try:
            self._release()
        except ReleaseError as error:
            return error
        return None

    def _release(self) -> None:
        project = self._project()
        project.refresh_ledger()
        facts = project.read_facts(Options())
        if (record := project.released(facts, Options())) is not None:
            tag_release(record.body, None, self._hear)
            return
        ctx = project.create_context(project.plan_release(facts, Options()))
        names = ("build", *_AFTER) if self.cell.stage == "build" else _AFTER
        self._fill(ctx, is_built="build" not in names)
        run_stages(ctx, [_alone(stage, names) for stage in STAGES if stage.name in names])

    def _project(self) -> Project:
        project = Project.open(self.service.folder, None, self._hear)
        more = {
            "registry": f"{self.host}/{self.name}",
            "push": Push.model_construct(stalled=self.cell.stalled),
        }
        return replace(project, service=project.service.model_copy(update=more))

    def _fill(self, ctx: StageContext, *, is_built: bool) -> None:
        for product in self.passed.products:
            ctx.products.add(product)
        ctx.gates.extend(gate for gate in self.passed.gates if is_built or gate.name != "build")
        if is_built:
            self.engine.tag(self.passed.built.stored_image.id, ctx.plan.candidate)
            self.stack.callback(self.engine.untag, ctx.plan.candidate)
            ctx.products.add(replace(self.passed.built, reference=ctx.plan.candidate))

    def _hear(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.told.append(event.text)
        if isinstance(event, Started | Finished) and (act := self.at.pop((type(event), event.name), None)):
            act()

    # what a stranger sees

    def refs(self) -> set[str]:
        """Of the server."""
        listed = output_of(["git", "-C", str(self.here), "for-each-ref", "--format=%(refname)"])
        return set(listed.split())

    @property
    def here(self) -> Path:
        """Where the server's repository is now."""
        return self.remote if self.remote.exists() else self.remote.with_suffix(".away")

    def records(self) -> list[dict[str, Any]]:
        """The releases on the server."""
        if "refs/heads/release-ledger" not in self.refs():
            return []
        return [record for record in schemas.recorded(self.here) if record["kind"] == "release"]

    def tagged(self) -> str | None:
        """The digest under the version's tag, asked of the registry itself and hashed."""
        url = f"http://{self.registry.host}/v2/{self.name}/{self.service.name}/manifests/{VERSION}"
        answer = requests.get(url, headers={"Accept": _ACCEPT}, timeout=10)
        return str(Digest.of(answer.content)) if answer.ok else None

    # trouble

    def make_trouble(self) -> None:
        """Everything that the cell says, before the run or when its moment comes."""
        self.host = self.proxy.host
        match self.cell.trouble:
            case Proxied(faults=faults):
                self.proxy.arm(*faults)
            case Gone():
                self.host = f"127.0.0.1:{lab.free_port()}"
            case ReadOnly():
                self.host = self.stack.enter_context(_read_only(self.service.folder.parent / "sealed"))
            case Taken(tag=tag, ours=ours, after=after):
                self._when(Finished, after, lambda: self._occupy(tag, ours=ours))
            case Hook(name=name, script=script):
                hook = self.remote / "hooks" / name
                hook.write_text(f"#!/bin/sh\n{script}\n")
                hook.chmod(0o755)
            case Moved(before=before):
                self._when(Started, before, lambda: self.remote.rename(self.remote.with_suffix(".away")))
            case Silent(before=before):
                self._when(Started, before, self._silence)
            case FullDisk(size=size):
                self._small_disk(size)
            case Clock(hours=hours, before=before):
                self._when(Started, before, lambda: self._jump(hours))
            case trouble:
                raise ValueError(f"{trouble} needs an engine of its own: test_engines.py")

    def end_trouble(self) -> None:
        """All is well again."""
        self.stack.close()
        self.proxy.arm()
        self.host = self.proxy.host
        for hook in (self.remote / "hooks").glob("*"):
            hook.unlink()
        if (away := self.remote.with_suffix(".away")).exists():
            away.rename(self.remote)
        self.service.git("remote", "set-url", "origin", str(self.remote))

    def _when(self, kind: type, stage: str, act: Callable[[], object]) -> None:
        if stage:
            self.at[(kind, stage)] = act
        else:
            act()

    def _occupy(self, tag: str, *, ours: bool) -> None:
        """Another release run was here, or somebody else."""
        commit = self.service.git("rev-parse", "HEAD")
        name = {"candidate": f"sha-{commit}", "version": VERSION, "another": "earlier"}[tag]
        image = self.passed.built.stored_image.id if ours else self._other_image()
        target = f"{self.registry.host}/{self.name}/{self.service.name}:{name}"
        output_of(["docker", "tag", image.text, target])
        self.stack.callback(output_of, ["docker", "rmi", target])
        output_of(["docker", "push", "--quiet", target])

    def _other_image(self) -> Digest:
        name, folder = f"localhost/{self.name}:other", self.service.folder.parent / "other"
        made = lab.build(self.engine, name, dockerfile=f"FROM scratch\nLABEL is={self.name}\n", folder=folder)
        self.stack.callback(output_of, ["docker", "rmi", name])
        return made

    def _silence(self) -> None:
        """Whoever waits for an answer waits for a second here, not for a minute."""
        port = self.stack.enter_context(lab.busy_port())
        self.service.git("remote", "set-url", "origin", f"git://127.0.0.1:{port}/ledger.git")
        self.stack.enter_context(mock.patch.object(Ledger.refresh, "__defaults__", (1.0,)))
        self.stack.enter_context(mock.patch.object(Branch.refresh, "__defaults__", (1.0,)))
        self.stack.enter_context(mock.patch.object(Remote.listed, "__kwdefaults__", {"seconds": 1.0}))
        self.stack.enter_context(mock.patch("release.ledger.remote.PUSH_SECONDS", 1.0))

    def _small_disk(self, size: int) -> None:
        folder = self.service.folder / ".release"
        folder.mkdir()
        output_of(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)])
        self.stack.callback(output_of, ["umount", str(folder)])

    def _jump(self, hours: int) -> None:
        def now() -> str:
            moment = datetime.now(UTC) + timedelta(hours=hours)
            return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

        for place in ("release.chain.pipeline.utc_now_text", "release.chain.publishing.record.utc_now_text"):
            self.stack.enter_context(mock.patch(place, now))


def _alone(stage: Stage, names: tuple[str, ...]) -> Stage:
    return replace(stage, after=tuple(name for name in stage.after if name in names))


@contextmanager
def stand(cell: Cell, passed: Passed, engine: Engine, folder: Path) -> Iterator[Stand]:
    """A place of its own for a cell; what it put into the engine is gone in the end.

    The registry is its own too: in one that has the layers already, an engine asks for them to be mounted.
    """
    remote = folder / "remote.git"
    shutil.copytree(passed.remote, remote)
    subprocess.run(["git", "clone", "--quiet", str(remote), str(folder / "clone")], check=True)
    service = Service(folder=folder / "clone", name=passed.service.name)
    with (
        lab.running_registry(folder / "registry") as registry,
        fault_proxy(registry.host) as proxy,
        ExitStack() as stack,
    ):
        made = Stand(
            cell=cell,
            passed=passed,
            engine=engine,
            service=service,
            remote=remote,
            registry=registry,
            proxy=proxy,
            stack=stack,
        )
        yield made


_READ_ONLY: Final = {
    "storage": {
        "maintenance": {"readonly": {"enabled": True}},
    }
}


@contextmanager
def _read_only(folder: Path) -> Iterator[str]:
    """A registry that was told to be read-only (its configuration: storage.maintenance.readonly)."""
    with lab.running_registry(folder, more=_READ_ONLY) as sealed:
        yield sealed.host
