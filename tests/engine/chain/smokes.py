"""Images of small programs, and the smoke gate on them. Each is a tiny image without a build."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release.chain.building.stage import BuiltImage
from release.chain.plan import Options, make_plan
from release.chain.run_folder import RunFolder
from release.chain.smoking.stage import SmokePassed, smoke
from release.chain.stage_context import StageContext
from release.errors import GateFailed
from release.events import Event
from release.images.engine import Engine
from release.records import Actor, Run
from release.reference import Reference
from tests.engine import lab, tiny
from tests.unit.chain.test_plan import configured, facts

SERVE = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200)
    def answer(self, status, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"the body of the answer")
    def log_message(self, *_):
        pass
def serve(address="0.0.0.0", port=8000):
    http.server.ThreadingHTTPServer((address, port), Handler).serve_forever()
def end(number, _):
    os._exit(0)
signal.signal(signal.SIGTERM, end)
"""
"""What every program begins with."""


@dataclass(kw_only=True)
class Bench:
    """Makes images of programs and runs gates on them."""

    engine: Engine
    root: Path
    names: list[str] = field(default_factory=list)
    contexts: list[StageContext] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def name(self, program: str, **config: Any) -> str:
        """The name of an image that runs this program."""
        name = f"localhost/{lab.unique('smoke')}:one"
        self.names.append(name)
        settings = {"Cmd": ["python3", "/srv/app.py"], "Entrypoint": None, **config}
        files = {"srv/app.py": SERVE + textwrap.dedent(program), "data/kept": "x"}
        tiny.load(self.engine, name, tiny.on_small_base(self.engine, files=files, settings=settings))
        return name

    def image(self, program: str, **config: Any) -> Callable[..., SmokePassed]:
        """The smoke gate on an image that runs this program; called with settings of `smoke`."""
        name = self.name(program, **config)
        return lambda **given: self.smoke(name, given)

    def smoke(self, image: str, given: dict[str, Any]) -> SmokePassed:
        """Run the smoke gate with these settings; `environments` and `companions` are tables beside it."""
        beside = {key: given.pop(key) for key in ("environments", "companions") if key in given}
        quick = {"port": 8000, "timeout": "10s", "stop_grace": "1s", **given}
        table = {key: value for key, value in quick.items() if value is not None}
        with self.ctx(image, smoke=table, **beside) as ctx:
            return smoke(ctx)

    @contextmanager
    def ctx(self, image: str, **tables: Any) -> Iterator[StageContext]:
        """A stage's surroundings, with this image as the one that was built."""
        reference = Reference.parse(image)
        stored = self.engine.inspect(reference)
        assert stored is not None
        ctx = StageContext(
            plan=make_plan(configured(**tables).service("api"), facts(), Options(), several=False),
            source=SimpleNamespace(root=self.root),  # type: ignore[arg-type]  # no repository is read
            run_folder=RunFolder.create(self.root),
            actor=Actor(name="a", email="a@b"),
            run=Run(id="run"),
            emit=self.events.append,
            open_engine=lambda: self.engine,
            open_ledger=lambda: None,  # type: ignore[arg-type,return-value]  # nor is the ledger
        )
        self.contexts.append(ctx)
        ctx.products.add(
            BuiltImage(
                reference=reference,
                stored_image=stored,
                config_digest=stored.id,
                bases=(),
                dockerfile="Dockerfile",
                dockerfile_sha256="",
                buildx="",
            )
        )
        try:
            yield ctx
        finally:
            ctx.background.finish(ctx.emit)

    def log(self, stage: str = "smoke") -> str:
        """The log of the last run."""
        return self.contexts[-1].run_folder.log_path(stage).read_text()


@contextmanager
def opened(engine: Engine, root: Path) -> Iterator[Bench]:
    """Images of one test; they are removed in the end."""
    lab.small_image()
    made = Bench(engine=engine, root=root)
    yield made
    for name in made.names:
        engine.untag(Reference.parse(name))


def refused(run: Callable[..., SmokePassed], **given: Any) -> GateFailed:
    with pytest.raises(GateFailed) as caught:
        run(**given)
    return caught.value
