"""A small service in a git repository of its own, released and deployed through the real programs.

The application is one file of the standard library, so that a whole release takes seconds; everything
around it is real: git, BuildKit, engine, registry, nox and invoke.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from release.programs.process import output_of
from tests.engine import lab, warm

APP: Final = '''\
"""Answers with its greeting and its version; stops when told."""

import http.server
import os
import signal

GREETING = os.environ.get("GREETING", "hello")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{GREETING} from {os.environ['APP_VERSION']}".encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


def stop(signum, frame):
    os._exit(0)  # an exception may arrive where nobody lets it through


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
'''

DOCKERFILE: Final = f"""\
FROM {lab.SMALL_IMAGE} AS source
COPY app.py /srv/app.py
ARG SOURCE_DATE_EPOCH
RUN find /srv -exec touch -h -d @$SOURCE_DATE_EPOCH {{}} +

FROM {lab.SMALL_IMAGE} AS runtime
COPY own /own
COPY --link --from=source /srv /srv
USER 10001
CMD ["python3", "/srv/app.py"]
ARG VERSION
ENV APP_VERSION=$VERSION

FROM runtime AS test
COPY test.py /test.py
"""

TEST: Final = """\
import sys
sys.path.insert(0, "/srv")
import app
assert app.GREETING == "hello"
print("1 passed")
"""


def slow_dockerfile(instruction: str, *, before: str) -> str:
    """With an instruction that takes its time: its line is one of a kind, so no cache ever has its result."""
    return DOCKERFILE.replace(before, f"{instruction} # {lab.unique()}\n{before}", 1)


FILES: Final[Mapping[str, str]] = {
    "app.py": APP,
    "test.py": TEST,
    "Dockerfile": DOCKERFILE,
    "requirements.in": "",
    "requirements.txt": "",
    "noxfile.py": "import release\n\nrelease.register()\n",
    "tasks.py": "import release\n\nns = release.namespace()\n",
    ".gitignore": ".release/\n__pycache__/\n",
}

SETTINGS: Final[Mapping[str, Any]] = {
    "context": ".",
    "build": {"target": "runtime"},
    "lint": {"commands": ["git --version"]},
    "test": {"target": "test", "command": ["python3", "/test.py"]},
    "installed": {"check": "off"},  # reading each image once more would take the tests minutes
    "smoke": {"port": 8000, "path": "/healthz", "timeout": "10s", "stop_grace": "3s"},
}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A program that ended: its status, standard output and standard error."""

    status: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """Of standard output."""
        return self.out.splitlines()[-1] if self.out else ""

    @property
    def all(self) -> str:
        """Both outputs, for a test that failed."""
        return f"status {self.status}\n{self.out}\n{self.err}"

    def document(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class Service:
    """One clone of the service's repository."""

    folder: Path
    name: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def git(self, *words: str) -> str:
        """A git command that must succeed."""
        argv = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *words]
        return subprocess.run(
            argv, cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message: str, files: Mapping[str, str] | None = None) -> str:
        """Write files, commit everything, and give the commit's id."""
        for path, content in (files or {}).items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def configure(self, **settings: Any) -> None:
        """Write pyproject.toml with these keys of [tool.release] over the usual ones."""
        table = {"service": self.name, **SETTINGS, **settings}
        (self.folder / "pyproject.toml").write_text(toml({"tool": {"release": table}}))

    def nox(self, *words: str, **environ: str) -> Ran:
        """`nox -s` with these words."""
        return self.run(sys.executable, "-m", "nox", "-s", *words, **environ)

    def invoke(self, *words: str, **environ: str) -> Ran:
        """`invoke` with these words."""
        return self.run(sys.executable, "-m", "invoke", *words, **environ)

    def start(self, *argv: str, new_session: bool = False, **environ: str) -> subprocess.Popen[str]:
        """A program in the repository that goes on running; in a new session it leads a group of its own."""
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            env={**os.environ, **IDENTITY, **self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=new_session,
        )

    def run(self, *argv: str, **environ: str) -> Ran:
        """A program in the repository, to its end."""
        every = {**os.environ, **IDENTITY, **self.environ, **environ}
        ended = warm.run(list(argv), cwd=self.folder, environ=every)
        return Ran(status=ended.returncode, out=ended.stdout, err=ended.stderr)

    def records(self) -> list[dict[str, Any]]:
        """All records on the ledger branch here, oldest first, read with git alone."""
        if not self.git("branch", "--list", "release-ledger"):
            return []
        paths = self.git("ls-tree", "-r", "--name-only", "release-ledger", "records/").splitlines()
        records = [json.loads(self.git("show", f"release-ledger:{path}")) for path in paths]
        return sorted(records, key=lambda record: int(record["seq"]))

    def clone(self, folder: Path, *options: str) -> Service:
        """Another clone of this one's origin, or of this one where it has none."""
        origin = self.git("remote", "get-url", "origin") if self.git("remote") else str(self.folder)
        output_of(["git", "clone", "--quiet", *options, origin, str(folder)])
        return Service(folder=folder, name=self.name, environ=self.environ)


IDENTITY: Final = {
    "CI": "",  # in CI a build cache is exported by default
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def make_service(
    folder: Path,
    *,
    remote: Path | None = None,
    files: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    **settings: Any,
) -> Service:
    """A repository with one commit `feat: greet`.

    Args:
        folder: where it is made.
        remote: a bare repository it is pushed to, which then holds the ledger too.
        files: over the usual ones; an empty text takes a file away.
        environ: variables of every program that is run in it.
        settings: keys of [tool.release] over the usual ones.
    """
    lab.small_image()
    output_of(["git", "init", "--quiet", "--initial-branch", "main", str(folder)])
    service = Service(folder=folder, name=lab.unique("svc"), environ=dict(environ or {}))
    if remote is not None:
        service.git("remote", "add", "origin", str(remote))
        settings = {"ledger": {"remote": "origin"}, **settings}
    service.configure(**settings)
    own = {"own": service.name}  # so that its images share no layer with those of other tests
    wanted = {
        path: text
        for path, text in {**own, **FILES, **(files or {})}.items()
        if text or path not in (files or {})
    }
    service.commit("feat: greet", wanted)
    if remote is not None:
        service.git("push", "--quiet", "origin", "main")
    return service


def toml(table: Mapping[str, Any]) -> str:
    """This table as TOML, every key written out in full."""
    return "".join(f"{'.'.join(map(_key, path))} = {_value(value)}\n" for path, value in _leaves(table, ()))


def _key(text: str) -> str:
    return text if text.replace("-", "_").isidentifier() else json.dumps(text)


def _leaves(table: Mapping[str, Any], path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for key, value in table.items():
        below = (*path, key)
        found += _leaves(value, below) if isinstance(value, Mapping) else [(below, value)]
    return found


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)
