"""A service in a repository of its own, tiny real images for its releases, and the real `invoke` program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from release.git.source import Source
from release.images.engine import Engine
from release.ledger.git_objects import TagRequest
from release.ledger.store import Ledger
from release.records import (
    Actor,
    BuildInputs,
    Descriptor,
    Draft,
    Image,
    LockFile,
    Record,
    Release,
    Run,
    SmokeSpec,
)
from release.records import Source as SourceRecord
from release.reference import Reference
from release.runspec import Probe
from tests.engine import lab, tiny, warm
from tests.engine.tiny import TinyImage

APP: Final = """\
import http.server, json, os, signal, sys, threading, time

mode = os.environ.get("MODE") or os.environ["IMAGE_MODE"]
if mode == "crashing":
    sys.exit("cannot start with " + os.environ.get("TOKEN", "no token"))

if mode == "telling":
    for key in sorted(os.environ):
        print(key, os.environ[key], file=sys.stderr, flush=True)
        if key.endswith("_FILE"):
            print(open(os.environ[key]).read(), file=sys.stderr, flush=True)

if mode == "short-lived":
    threading.Timer(2, os._exit, (7,)).start()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = os.environ.get("TOKEN") if mode == "telling" else None
        self.send_response(500 if mode in ("sick", "telling") else 200, told)
        self.end_headers()
        keys = ("VERSION", "GREETING", "TOKEN")
        self.wfile.write(json.dumps({key: os.environ.get(key) for key in keys}).encode())
    def log_message(self, *_):
        pass

def stop(*_):
    threading.Timer(float(os.environ.get("STOP_SECONDS", "0")), os._exit, (0,)).start()

signal.signal(signal.SIGTERM, stop)
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""

SLOW_CHECK: Final = {
    "Test": ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8000/')"],
    "Interval": 600 * 10**9,
}
"""A health check of an image's config: an engine runs it first when ten minutes are over."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """An `invoke` that ended."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@dataclass(kw_only=True)
class World:
    """One service: repository, ledger, one environment on this machine's engine."""

    root: Path
    engine: Engine
    service: str = field(default_factory=lambda: lab.unique("rt"))
    port: int = field(default_factory=lab.free_port)
    repository: str = ""
    remote: Path | None = None
    images: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    migrations: dict[str, str] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    """Containers that other programs started."""
    environ: dict[str, str] = field(default_factory=dict)
    """Variables of every `invoke`."""
    app: str = APP
    tags: str = "v"
    """Prefix of its version tags."""
    probe: Probe | None = field(default_factory=lambda: Probe(port=8000, path="/healthz"))
    """The request that its releases answered; None: a worker, which only had to stay up."""

    def __post_init__(self) -> None:
        lab.small_image()
        self.repository = self.repository or f"localhost/{self.service}"
        self.git("init", "-q", "-b", "main", str(self.root), cwd=self.root.parent)
        self.git("config", "user.name", "Ada Lovelace")
        self.git("config", "user.email", "ada@example.org")
        if self.remote is not None:
            self.git("remote", "add", "origin", str(self.remote))
        self.configure()
        (self.root / "tasks.py").write_text("import release\nns = release.namespace()\n")
        self.commit("feat: start")

    @property
    def container(self) -> str:
        """The name of the container that serves."""
        return f"{self.service}-production"

    def configure(self, **settings: str) -> None:
        """Write the configuration; settings are TOML values of the environment, an empty one is left out."""
        self.settings = {
            "publish": f'["127.0.0.1:{self.port}:8000"]',
            "health_timeout": '"20s"',
            "stop_grace": '"3s"',
            "watch": '"0s"',
            **settings,
        }
        registry = self.repository.rpartition("/")[0]
        lines = ["[tool.release]", f'service = "{self.service}"']
        lines += [f'registry = "{registry}"'] if registry != "localhost" else []
        lines += ["[tool.release.ledger]", 'remote = "origin"'] if self.remote is not None else []
        asked = ["port = 8000", 'path = "/healthz"'] if self.probe is not None else ['stays_up = "10s"']
        lines += ["[tool.release.smoke]", *asked]
        lines += ["[tool.release.migrations]"] if self.migrations else []
        lines += [f"{key} = {value}" for key, value in self.migrations.items()]
        lines += ["[tool.release.environments.production]"]
        lines += [f"{key} = {value}" for key, value in self.settings.items() if value]
        (self.root / "pyproject.toml").write_text("\n".join(lines) + "\n")

    def fence(self, **migrations: str) -> None:
        """Write the configuration with these migrations, as TOML values; the environment's stay."""
        self.migrations = migrations
        self.configure(**self.settings)

    def git(self, *words: str, cwd: Path | None = None) -> str:
        """Run git here."""
        self.root.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything; the commit's id."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def release(self, version: str, *, mode: str = "good", **settings: Any) -> str:
        """Make a tiny image and append its release record with the library; the image's digest.

        Settings are those of the image's config, as the OCI Image Specification writes them.
        """
        commit = self.commit(f"feat: {version}")
        image = self.build(version, mode, commit, settings)
        record = self.record(version, commit, image, {"fastapi": version})
        return record.body.image.digest

    def build(self, version: str, mode: str, commit: str, settings: Mapping[str, Any]) -> TinyImage:
        """An image of its own for this service and version."""
        name = f"{self.repository}:sha-{commit}"
        environ = ["PYTHONDONTWRITEBYTECODE=1", f"VERSION={version}", f"IMAGE_MODE={mode}"]
        image = tiny.on_small_base(
            self.engine,
            files={"app.py": self.app + f"# {self.service}\n"},
            settings={"Cmd": ["python", "/app.py"], "Env": environ, **settings},
        )
        tiny.load(self.engine, name, image)
        self.images.append(name)
        return image.image

    def record(
        self, version: str, commit: str, image: TinyImage, packages: Mapping[str, str]
    ) -> Record[Release]:
        """Append the release with its tag, as the chain does."""
        body = Release(
            version=version,
            image=Image(
                repository=self.repository,
                digest=str(image.id),
                media_type=image.media_type,
                size=image.size,
                platform=self.engine.info.platform,
                config_digest=str(image.config),
                layers=tuple(Descriptor(digest=str(layer), size=1) for layer in image.layers),
            ),
            source=SourceRecord(
                commit=commit,
                tree=self.git("rev-parse", f"{commit}^{{tree}}"),
                commit_time=now(),
                tag=f"{self.tags}{version}",
            ),
            lock=LockFile(kind="pip", path="requirements.txt", sha256="0" * 64, packages=dict(packages)),
            bases=(),
            build=BuildInputs(
                dockerfile="Dockerfile",
                dockerfile_sha256="0" * 64,
                context=".",
                args={},
                labels={},
                source_date_epoch=0,
                buildkit="",
                buildx="",
                engine=self.engine.info.version,
                exporter="containerd",
            ),
            gates=(),
            smoke=SmokeSpec(
                probe=self.probe,
                stays_up=10_000 if self.probe is None else None,
                memory=1 << 28,
                pids=64,
                read_only=True,
                tmpfs=(),
                env={},
                stop_grace=3000,
            ),
        )
        draft: Draft[Any] = Draft(
            service=self.service,
            recorded_at=now(),
            actor=Actor(name="Ada Lovelace", email="ada@example.org"),
            run=Run(id="test"),
            tool="test",
            body=body,
        )
        source = Source.open(self.root)
        try:
            ledger = Ledger.open(
                source, branch="release-ledger", remote="origin" if self.remote is not None else None
            )
            tag = TagRequest(name=f"{self.tags}{version}", commit=commit, message=version)
            (record,) = ledger.append([draft], tag=tag)
        finally:
            source.close()
        return Record(envelope=record.envelope, body=body)

    def foreign(self, version: str, *words: str) -> str:
        """Start the image of a release with `docker run`, as another program would; the container's name."""
        name = lab.unique("web")
        image = f"{self.repository}:sha-{self.git('rev-parse', f'{self.tags}{version}^{{commit}}')}"
        self.docker_run(name, image, "--publish", f"127.0.0.1:{self.port}:8000", *words)
        return name

    def docker_run(self, name: str, image: str, *words: str) -> None:
        """Start a container without labels of ours."""
        self.strangers.append(name)
        subprocess.run(
            ["docker", "run", "--detach", "--name", name, *words, image], capture_output=True, check=True
        )

    # what an operator does

    def invoke(self, *words: str, cwd: Path | None = None, **environ: str) -> Ended:
        """Run `invoke` to its end, without a terminal."""
        every = {**os.environ, **self.environ, **environ}
        done = warm.run(self.argv(*words), cwd=cwd or self.root, environ=every)
        return Ended(status=done.returncode, out=done.stdout, err=done.stderr)

    def argv(self, *words: str) -> list[str]:
        """The real program."""
        return [sys.executable, "-m", "invoke", *words]

    def start(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        """An `invoke` that goes on running."""
        return subprocess.Popen(
            self.argv(*words),
            cwd=self.root,
            env={**os.environ, **self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def started(self, *words: str, when: str) -> Iterator[subprocess.Popen[str]]:
        """Run `invoke` beside the block, which begins when its standard error has this text."""
        with self.start(*words) as process:
            assert process.stderr is not None
            seen = next((line for line in process.stderr if when in line), None)
            assert seen is not None, f"{words} ended without {when}"
            yield process
            process.communicate(timeout=120)

    def interrupted(self, *words: str, when: str, number: signal.Signals) -> Ended:
        """Run `invoke`, send it a signal when its standard error has this text, and wait for its end."""
        return self.when(*words, line=when, act=lambda process: process.send_signal(number))

    def when(self, *words: str, line: str, act: Callable[[subprocess.Popen[str]], object]) -> Ended:
        """Run `invoke`, do something when its standard error has this text, and wait for its end."""
        with self.start(*words) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            seen = ""
            for text in process.stderr:
                seen += text
                if line in text:
                    act(process)
                    break
            out, rest = process.communicate(timeout=120)
        return Ended(status=process.returncode, out=out, err=seen + rest)

    def dying(self, when: str, call: str, number: str, *words: str) -> Ended:
        """Run `invoke` on a machine that dies before or after the nth of these calls: see `dying`."""
        argv = [sys.executable, "-m", "tests.engine.deploy.dying", when, call, number, *words]
        done = warm.run(argv, cwd=self.root, environ={**os.environ, **self.environ})
        return Ended(status=done.returncode, out=done.stdout, err=done.stderr)

    def answer(self) -> dict[str, Any]:
        """What the service says of itself now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as response:
            found: dict[str, Any] = json.load(response)
        return found

    def containers(self) -> dict[str, str]:
        """Names and states of the service's containers."""
        return {
            state.name: state.status for state in self.engine.containers({"release.service": self.service})
        }

    def statuses(self) -> list[str]:
        """The deployment events' statuses, oldest first."""
        records = self.invoke("history", "--json", "--limit", "100").data
        return [record["status"] for record in reversed(records) if record["kind"] == "deployment"]

    def clean(self) -> None:
        """Take away what this service left in the engine."""
        for name in self.strangers:
            self.engine.remove(name)
        for state in self.engine.containers({"release.service": self.service}):
            self.engine.remove(state.id)
        for state in self.engine.containers({"release.failed-output": f"{self.service} in production"}):
            self.engine.remove(state.id)
        repository = Reference.parse(f"{self.repository}:any").repository
        ours = {
            str(repository.tagged(tag)) for tag in self.engine.tags(repository)
        }  # deployments name them too
        for name in ours | set(self.images):
            self.engine.untag(Reference.parse(name))


def now() -> str:
    """This moment as records write it."""
    time.sleep(0.002)  # records of one test have an order in time
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
