"""What a build is lent reaches its RUN steps, and nothing that stays: looked for from outside."""

from __future__ import annotations

import base64
import gzip
import http.server
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from release.images.engine import Engine
from release.programs.process import output_of
from release.reference import Reference
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.service import DOCKERFILE, Ran, Service, slow_dockerfile

TOKEN, OTHER, PROXY = "canary-5f09ad71", "rotated-c2d86b40", "canary-proxy-77"
FORMS = [form for value in (TOKEN.encode(), PROXY.encode()) for form in (value, base64.b64encode(value))]
INSTALL = """\
RUN --mount=type=secret,id=index,required=true --mount=type=secret,id=ca,target=/run/ca.pem,required=true \\
    test -s /run/secrets/index && grep -q BEGIN /run/ca.pem && echo "token is $(cat /run/secrets/index)" \\
    && test "${HTTPS_PROXY#*proxy.example}" = ":3128" && test "$http_proxy" = "http://plain.example:1"
"""
LENDING = DOCKERFILE.replace("COPY app.py", f"{INSTALL}COPY app.py").replace(
    "COPY test.py", "RUN --mount=type=secret,id=index,required=true test -s /run/secrets/index\nCOPY test.py"
)
BUILD = {
    "target": "runtime",
    "proxy": True,
    "secrets": {"index": {"from_env": "INDEX_AUTH"}, "ca": {"from_file": "company.pem"}},
}
PEM = "-----BEGIN CERTIFICATE-----\ncanary-not-a-secret\n-----END CERTIFICATE-----\n"


def lent(make: Make, **settings: object) -> Service:
    """A service whose build needs a token, a certificate and proxies."""
    service = make(files={"Dockerfile": LENDING}, build=BUILD, **settings)
    (service.folder / "company.pem").write_text(PEM)
    (service.folder / ".git/info/exclude").write_text("company.pem\n")
    return service


def release(service: Service, *words: str, token: str = TOKEN) -> Ran:
    ran = service.nox(
        "release",
        *words,
        INDEX_AUTH=token,
        HTTPS_PROXY=f"http://ada:{PROXY}@proxy.example:3128",
        http_proxy="http://plain.example:1",
    )
    assert ran.status == 0, ran.all
    return ran


def files_of(image: str, folder: Path) -> Iterator[bytes]:
    """An image's archive piece by piece, with its layers unpacked: settings, history, labels, files."""
    archive = folder / "image.tar"
    with archive.open("wb") as sink:
        subprocess.run(["docker", "save", image], check=True, stdout=sink)
    with tarfile.open(archive) as tar:
        for member in filter(tarfile.TarInfo.isfile, tar):
            content = tar.extractfile(member).read()  # type: ignore[union-attr]  # it is a file
            yield gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def kept(service: Service) -> bytes:
    """Every object of the repository, and every file in it and below `.release`."""
    listed = "git cat-file --batch-all-objects --batch-check='%(objectname)' | git cat-file --batch"
    objects = subprocess.run(["sh", "-c", listed], cwd=service.folder, capture_output=True, check=True).stdout
    return objects + b"".join(path.read_bytes() for path in service.folder.rglob("*") if path.is_file())


def test_what_was_lent_is_nowhere_afterwards_and_another_value_gives_the_same_digest(
    make: Make, tmp_path: Path
) -> None:
    """Not in history, settings, labels, layers, records, logs or output; RUN had it, and printed it.

    Both are built without a cache, in two clones: a token that was rotated makes no other image.
    """
    service = lent(make)
    other = service.clone(tmp_path / "other")
    ran = release(service, "--", "--no-cache")
    (record,) = service.records()
    (run,) = (service.folder / ".release/runs").iterdir()
    assert "token is ***" in (run / "build.log").read_text()
    image = f"localhost/{service.name}@{record['image']['digest']}"
    history = output_of(["docker", "history", "--no-trunc", image]).encode()
    assert b"ENV APP_VERSION" in history
    for piece in (*files_of(image, tmp_path), history, kept(service), ran.all.encode()):
        assert not [form for form in FORMS if form in piece]
    (other.folder / "company.pem").write_text(PEM.replace("canary", "another"))
    release(other, "--", "--no-cache", token=OTHER)
    (second,) = other.records()
    assert second["image"]["digest"] == record["image"]["digest"]


def running() -> Iterator[bytes]:
    """Command line and environment of every program of this machine, as root sees them."""
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            with suppress(OSError):
                yield (folder / name).read_bytes()


def test_no_command_line_and_no_environment_holds_a_secret_while_it_is_lent(
    make: Make, tmp_path: Path
) -> None:
    """Looked for in every program of the machine, while BuildKit runs the step that uses it."""
    token, value = tmp_path / "token", lab.unique("canary")
    token.write_text(value)
    step = "RUN --mount=type=secret,id=index,required=true sleep 1; test -s /run/secrets/index"
    service = make(
        files={"Dockerfile": slow_dockerfile(step, before="COPY app.py")},
        build={"target": "runtime", "secrets": {"index": {"from_file": str(token)}}},
    )
    seen = []
    with service.start(sys.executable, "-m", "nox", "-s", "build") as program:
        while program.poll() is None:
            seen += [text for text in running() if b"id=index,src=" in text or value.encode() in text]
            time.sleep(0.1)
        out, err = program.communicate()
    assert program.returncode == 0, out + err
    assert any(b"id=index,src=/proc/" in text for text in seen)
    assert not any(value.encode() in text for text in seen)


def test_an_image_that_tells_its_secret_is_refused_and_loses_its_name(make: Make, engine: Engine) -> None:
    """A Dockerfile that writes the value into ENV: nothing is recorded, and the value is not shown."""
    service = make(
        files={"Dockerfile": DOCKERFILE.replace("ENV ", f"ENV LEFT={TOKEN} ")},
        build={"target": "runtime", "secrets": {"index": {"from_env": "INDEX_AUTH"}}},
    )
    ran = service.nox("release", INDEX_AUTH=TOKEN)
    assert ran.status == 1, ran.all
    assert "the image's settings or history contain the secret index" in ran.err
    assert TOKEN not in ran.all
    assert service.records() == []
    commit = service.git("rev-parse", "HEAD")
    assert engine.inspect(Reference.parse(f"localhost/{service.name}:sha-{commit}")) is None


@contextmanager
def agent(folder: Path) -> Iterator[str]:
    """An ssh agent of the test's own with one key in it."""
    address, key = folder / "agent.socket", folder / "key"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(address)], stdout=subprocess.DEVNULL) as program:
        try:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
            while not address.exists():
                assert program.poll() is None
                time.sleep(0.02)
            environ = {**os.environ, "SSH_AUTH_SOCK": str(address)}
            subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environ)
            yield str(address)
        finally:
            program.terminate()


ASK_AGENT = """\
import os, socket, sys
with socket.socket(socket.AF_UNIX) as agent:
    agent.connect(os.environ["SSH_AUTH_SOCK"])
    agent.sendall(bytes([0, 0, 0, 1, 11]))
    answer = agent.recv(9, socket.MSG_WAITALL)
sys.exit(0 if answer[4] == 12 and answer[8] == 1 else "the agent has no key")
"""
"""SSH2_AGENTC_REQUEST_IDENTITIES and its answer (draft-miller-ssh-agent, section 3.5)."""


def test_an_agent_and_a_key_are_lent_by_ssh(make: Make, tmp_path: Path) -> None:
    """RUN asks the agent for its keys; a missing agent is told before the build begins."""
    step = (
        "COPY ask.py /ask.py\nRUN --mount=type=ssh,required=true python3 /ask.py\n"
        "RUN --mount=type=ssh,id=mirror,required=true python3 /ask.py\n"
    )
    with agent(tmp_path) as address:
        service = make(
            files={
                "Dockerfile": DOCKERFILE.replace("COPY app.py", f"{step}COPY app.py"),
                "ask.py": f"{ASK_AGENT}# {lab.unique()}\n",
            },
            build={"target": "runtime", "ssh": ["default", f"mirror={tmp_path / 'key'}"]},
        )
        ran = service.nox("build", SSH_AUTH_SOCK=address)
        assert ran.status == 0, ran.all
    missing = service.nox("build", SSH_AUTH_SOCK=address)
    assert missing.status == 1
    assert "ssh default: the agent or key" in missing.err
    logs = [log.read_text() for log in (service.folder / ".release/runs").glob("*/build.log")]
    assert sum("$ docker buildx build" in log for log in logs) == 1


def wheel(folder: Path) -> None:
    """A package with nothing in it."""
    folder.mkdir(parents=True, exist_ok=True)
    about = "Metadata-Version: 2.1\nName: lent-package\nVersion: 1.0\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    home = "lent_package-1.0.dist-info"
    with zipfile.ZipFile(folder / "lent_package-1.0-py3-none-any.whl", "w") as archive:
        for name, text in {"METADATA": about, "WHEEL": kind, "RECORD": ""}.items():
            archive.writestr(f"{home}/{name}", text)


def test_the_test_layer_is_lent_what_it_installs_with(make: Make, engine: Engine) -> None:
    """pip finds the package only through a configuration file that is a secret."""
    service = make(
        build={"target": "runtime", "secrets": {"pip": {"from_env": "PIP_CONF"}}},
        test={
            "install": ["lent-package==1.0"],
            "copy": ["wheels", "test.py"],
            "secrets": {"PIP_CONFIG_FILE": "pip"},
            "command": ["python3", "/test.py"],
        },
    )
    wheel(service.folder / "wheels")
    service.commit("feat: a package")
    conf = f"[global]\nno-index = true\nfind-links = /wheels\nextra-index-url = https://ada:{TOKEN}@127.0.0.1:9/\n"
    ran = service.nox("test", PIP_CONF=conf)
    assert ran.status == 0, ran.all
    assert TOKEN.encode() not in kept(service)
    assert TOKEN not in ran.all


class _PrivateIndex(http.server.BaseHTTPRequestHandler):
    """A package index (PEP 503) that asks for a login."""

    folder: Path

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f"ada:{TOKEN}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            return
        file = self.folder / Path(self.path).name
        body = file.read_bytes() if file.is_file() else self._page()
        self.send_response(200)
        self.send_header("Content-Type", "application/zip" if file.is_file() else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _page(self) -> bytes:
        links = (f'<a href="/{file.name}">{file.name}</a>' for file in self.folder.iterdir())
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's signature
        pass


@contextmanager
def private_index(folder: Path) -> Iterator[str]:
    """Its `host:port`."""
    wheel(folder)
    handler = type("Handler", (_PrivateIndex,), {"folder": folder})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize("stage", ["lock", "lint"])
def test_the_gates_on_this_machine_reach_a_private_index_and_keep_its_password(
    make: Make, tmp_path: Path, stage: str
) -> None:
    """uv gets the settings of its indexes; with a wrong password they fail, and show neither."""
    service = make(
        files={"requirements.in": "lent-package\n", "requirements.txt": "lent-package==1.0\n"},
        lint={"tools": ["lent-package==1.0"], "commands": ["git --version"]},
    )
    with private_index(tmp_path / "index") as host:
        wrong = service.nox(stage, UV_NO_CACHE="1", UV_DEFAULT_INDEX=f"http://ada:{OTHER}@{host}/simple")
        right = service.nox(stage, UV_NO_CACHE="1", UV_DEFAULT_INDEX=f"http://ada:{TOKEN}@{host}/simple")
    assert (wrong.status, right.status) == (1, 0), wrong.all + right.all
    for canary in (TOKEN, OTHER):
        assert canary not in wrong.all + right.all
        assert canary.encode() not in kept(service)
