"""Real parts for the tests of this folder: registries, a second engine, git remotes, names of one's own.

Everything here starts on a free port or in a folder of the caller's, is the only one of its kind, and is
gone when its block ends. Nothing here touches what the machine's own engine runs.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import fcntl
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from release.images.engine import Engine
from release.programs.environment import ENGINE
from release.programs.process import Command, output_of, run
from release.reference import Digest, Reference

BASE_IMAGE: Final = "python:3.13-slim"
"""The base that `./dev` has made sure of: the real one, or a stand-in of the same layout."""

SMALL_IMAGE: Final = "localhost/release-small:tests"
"""What the tests' services stand on: a copy of that base without what they do not use, see `small_image`."""

PROXIES_IMAGE: Final = "localhost/release-proxies:tests"
"""nginx, HAProxy and Caddy, as `./dev` builds them from examples/proxies."""

LABEL: Final = "release.test"
"""The label of every container that a test makes; its value is the test's own name."""

T = TypeVar("T")


def unique(prefix: str = "release-test") -> str:
    """A name that no other test, worker or run has: for repositories, containers, networks, volumes."""
    return f"{prefix}-{secrets.token_hex(5)}"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that nobody else is given.

    It is taken seconds later, while other tests open connections by the thousand. So it is none of those
    that the kernel gives to connections (ip(7), `ip_local_port_range`), none of another worker's, and never
    given twice.
    """
    return next(port for port in _ports() if _is_free(port))


_PORTS: Final = range(10_000, 32_000)
_GIVEN: Final[set[int]] = set()


def _ports() -> Iterator[int]:
    """Each of this worker's share once, from a random one on."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    share = _PORTS[int(worker) % 16 :: 16]
    start = secrets.randbelow(len(share))
    for port in (*share[start:], *share[:start]):
        if port not in _GIVEN:
            _GIVEN.add(port)
            yield port


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def busy_port() -> Iterator[int]:
    """A TCP port of 127.0.0.1 that this process listens on while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def eventually(probe: Callable[[], T | None], *, what: str, seconds: float = 20.0) -> T:
    """The first answer of `probe` that is neither None nor False. Raises AssertionError naming `what`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := probe():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


def die_with_parent() -> None:
    """Let a server end when its test is killed (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


@contextmanager
def server(argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> Iterator[int]:
    """A program that runs while the block does, its output in `log`; yields its process id."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, then exec
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- registries


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user of a registry."""

    user: str = "releaser"
    password: str = "correct horse"
    hashed: str = "$2b$04$EqrNAIVm/M6im02TE6EkgO1.lZibaMvZX27CL1Z9dxVjtkfzpvTLm"
    """The password as the registry keeps it (bcrypt)."""

    @property
    def encoded(self) -> str:
        """As `docker login` writes it and as Basic authentication sends it (RFC 7617)."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A self-signed certificate of 127.0.0.1 and localhost; `certificate` is its own authority."""

    certificate: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class RunningRegistry:
    """A distribution registry: `host` is "127.0.0.1:PORT"; `storage` holds its blobs and manifests."""

    host: str
    storage: Path
    login: Login | None = None
    certificate: Certificate | None = None

    def repository(self, name: str | None = None) -> str:
        """A repository in it; without a name, one that nobody else uses."""
        return f"{self.host}/{name or unique()}"


@contextmanager
def running_registry(
    folder: Path,
    *,
    login: Login | None = None,
    tls: bool = False,
    address: str = "127.0.0.1",
    more: Mapping[str, object] | None = None,
) -> Iterator[RunningRegistry]:
    """A real `docker-registry` on a free port of an address, in an empty folder of the caller's.

    `more` is merged into its configuration (Distribution, "Configuring a registry"), one level deep.
    """
    folder.mkdir(parents=True, exist_ok=True)
    certificate = make_certificate(folder, address) if tls else None
    config, log = folder / "config.yml", folder / "registry.log"
    settings = _registry_config(folder, login, certificate, address)
    for key, value in (more or {}).items():
        known = settings.get(key)
        merged = isinstance(known, dict) and isinstance(value, dict)
        settings[key] = {**known, **value} if merged else value  # type: ignore[dict-item]
    config.write_text(json.dumps(settings))
    with server(["docker-registry", "serve", str(config)], log=log):
        found = eventually(
            lambda: re.search(rf"listening on ({re.escape(address)}:\d+)", log.read_text()), what=str(log)
        )
        yield RunningRegistry(host=found[1], storage=folder / "storage", login=login, certificate=certificate)


def _registry_config(
    folder: Path, login: Login | None, certificate: Certificate | None, address: str
) -> dict[str, object]:
    http: dict[str, object] = {"addr": f"{address}:0"}
    if certificate is not None:
        http["tls"] = {"certificate": str(certificate.certificate), "key": str(certificate.key)}
    storage = {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}}
    config: dict[str, object] = {"version": 0.1, "storage": storage, "http": http}
    if login is not None:
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(_password_file(folder, login))}}
    return config


def _password_file(folder: Path, login: Login) -> Path:
    path = folder / "htpasswd"
    path.write_text(f"{login.user}:{login.hashed}\n")
    return path


def make_certificate(folder: Path, address: str = "127.0.0.1") -> Certificate:
    """A self-signed certificate for an address and localhost, valid for two days."""
    made = Certificate(certificate=folder / "server.crt", key=folder / "server.key")
    output_of(
        [
            *("openssl", "req", "-x509", "-days", "2", "-nodes", "-subj", f"/CN={address}"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", f"subjectAltName=IP:{address},DNS:localhost"),
            *("-keyout", str(made.key), "-out", str(made.certificate)),
        ]
    )
    return made


def docker_config(folder: Path, *logins: tuple[str, Login], **more: object) -> Path:
    """A DOCKER_CONFIG folder whose config.json holds these logins by host, and `more` keys."""
    import base64

    folder.mkdir(parents=True, exist_ok=True)
    auths = {
        host: {"auth": base64.b64encode(f"{login.user}:{login.password}".encode()).decode()}
        for host, login in logins
    }
    (folder / "config.json").write_text(json.dumps({"auths": auths, **more}))
    return folder


CREDENTIAL_HELPER: Final = """\
#!/bin/sh
# A docker-credential helper: knows one login (docker-credential-helpers, "get").
test "$1" = get || exit 1
cat >/dev/null
echo '{{"ServerURL": "x", "Username": "{user}", "Secret": "{password}"}}'
"""


def credential_helper(folder: Path, login: Login) -> str:
    """A credential helper in a folder for PATH; the name by which config.json calls it."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"docker-credential-{unique('helper')}"
    program.write_text(CREDENTIAL_HELPER.format(user=login.user, password=login.password))
    program.chmod(0o755)
    return program.name.removeprefix("docker-credential-")


# --- a second engine


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """A bridge of its own with its network: 10.213.N.0/24, the bridge at .1."""

    bridge: str
    number: int

    @property
    def address(self) -> str:
        """The bridge's own address with its prefix length."""
        return f"10.213.{self.number}.1/24"

    @property
    def network(self) -> str:
        """The network's address with its prefix length."""
        return f"10.213.{self.number}.0/24"


@contextmanager
def graph_engine(folder: Path) -> Iterator[Engine]:
    """A second Docker Engine whose image store is a graph driver, with nothing in it.

    It has its own folders, sockets (see `secure_address`) and bridge, and the first engine's firewall rules
    stay as they are. Its containers reach the network, and their published ports answer on this machine.
    """
    with _second_engine(folder, containerd=False) as engine:
        yield engine


@contextmanager
def cold_engine(folder: Path) -> Iterator[Engine]:
    """A second Docker Engine with the containerd image store: no image and no build cache, as in a CI job."""
    with _second_engine(folder, containerd=True) as engine:
        yield engine


@contextmanager
def _second_engine(folder: Path, *, containerd: bool) -> Iterator[Engine]:
    folder.mkdir(parents=True, exist_ok=True)
    with _bridge() as subnet:
        address, log = f"unix://{folder}/docker.sock", folder / "dockerd.log"
        words = _dockerd(folder, subnet, address, containerd=containerd)
        with server(words, log=log), _unmounted(folder):
            eventually(lambda: _answers(address), what=f"the engine of {log}", seconds=60)
            yield Engine.connect(host=address)


class BrittleEngine:
    """A second Docker Engine that can be killed and started again, on a small disk of its own."""

    def __init__(self, folder: Path, argv: Sequence[str], address: str) -> None:
        """Start nothing yet; use `brittle_engine`."""
        self._folder, self._argv, self.address = folder, argv, address
        self._running: ExitStack | None = None
        self._process = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        stack = ExitStack()
        self._process = stack.enter_context(server(self._argv, log=self._folder / "dockerd.log"))
        self._running = stack
        eventually(lambda: _answers(self.address), what=f"the engine of {self._folder}", seconds=60)

    def kill(self) -> None:
        """End it at once, as a crash does; its containers go on or not, as they can."""
        os.kill(self._process, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """Make sure that it has ended."""
        if self._running is not None:
            self._running.close()
        self._running = None

    @property
    def disk(self) -> Path:
        """Where it keeps everything."""
        return self._folder / "data"


@contextmanager
def brittle_engine(folder: Path, *, megabytes: int) -> Iterator[BrittleEngine]:
    """An engine with a graph driver on a tmpfs of this size, running."""
    data = folder / "data"
    data.mkdir(parents=True)
    output_of(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(data)])
    with _bridge() as subnet, ExitStack() as stack:
        stack.callback(remove_folder, folder)
        address = f"unix://{folder}/docker.sock"
        made = BrittleEngine(folder, _dockerd(folder, subnet, address), address)
        made.start()
        stack.callback(_end_shims, folder)
        stack.callback(made.stop)
        stack.callback(_remove_containers, address)
        yield made


def _end_shims(folder: Path) -> None:
    """End what watched the containers of the engine in this folder when that was killed."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = file.read_bytes().decode(errors="replace").split("\0")
            if "containerd-shim" in words[0] and any(word.startswith(f"{folder}/") for word in words):
                os.kill(int(file.parent.name), signal.SIGKILL)


def _dockerd(folder: Path, subnet: Subnet, address: str, *, containerd: bool = False) -> list[str]:
    config = folder / "daemon.json"
    config.write_text(json.dumps({"features": {"containerd-snapshotter": containerd}}))
    return [
        "dockerd",
        *("--config-file", str(config)),
        *("--host", address),
        *_secure_words(folder),
        *("--data-root", str(folder / "data")),
        *("--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "docker.pid")),
        *("--containerd-namespace", subnet.bridge),
        *("--containerd-plugins-namespace", f"{subnet.bridge}-plugins"),
        *("--bridge", subnet.bridge),
        "--iptables=false",
        "--ip6tables=false",
        "--ip-masq=false",
    ]


@dataclass(frozen=True, kw_only=True)
class SecureAddress:
    """Where an engine answers over TLS, and the folder with ca.pem, cert.pem and key.pem that it asks for."""

    host: str
    certificates: Path


def secure_address(engine: Engine) -> SecureAddress:
    """The second way to an engine that `graph_engine` started: TCP with certificates on both sides."""
    folder = Path(engine.host.removeprefix("unix://")).parent / "tls"
    return SecureAddress(host=(folder / "host").read_text(), certificates=folder)


def _secure_words(folder: Path) -> list[str]:
    """Server and client show the same certificate, which vouches for itself."""
    tls = folder / "tls"
    tls.mkdir()
    made = make_certificate(tls)
    for name in ("ca.pem", "cert.pem"):
        shutil.copy(made.certificate, tls / name)
    made.key.rename(tls / "key.pem")
    (tls / "host").write_text(f"tcp://127.0.0.1:{free_port()}")
    files = (
        "--tlscacert",
        str(tls / "ca.pem"),
        "--tlscert",
        str(tls / "cert.pem"),
        "--tlskey",
        str(tls / "key.pem"),
    )
    return ["--host", (tls / "host").read_text(), "--tlsverify", *files]


def _answers(address: str) -> bool:
    asked = run(
        Command(
            inherits=ENGINE, argv=("docker", "--host", address, "version", "--format", "{{.Server.Version}}")
        ),
        check=False,
    )
    return asked.status == 0


@contextmanager
def own_address() -> Iterator[str]:
    """An address of this machine that is not loopback: there, engines insist on TLS."""
    subnet = Subnet(bridge=unique("ra")[:13], number=free_network())
    _ip("link", "add", "name", subnet.bridge, "type", "bridge")
    try:
        _ip("address", "add", subnet.address, "dev", subnet.bridge)
        _ip("link", "set", subnet.bridge, "up")
        yield subnet.address.partition("/")[0]
    finally:
        _ip("link", "delete", subnet.bridge)


@contextmanager
def _bridge() -> Iterator[Subnet]:
    """A bridge with an address of its own and a way out, both taken away again."""
    subnet = Subnet(bridge=unique("rt")[:13], number=free_network())
    with ExitStack() as stack:
        _ip("link", "add", "name", subnet.bridge, "type", "bridge")
        stack.callback(_ip, "link", "delete", subnet.bridge)
        _ip("address", "add", subnet.address, "dev", subnet.bridge)
        _ip("link", "set", subnet.bridge, "up")
        for rule in _rules(subnet):
            output_of(["iptables", "--wait", *rule])
            stack.callback(output_of, ["iptables", "--wait", *_undone(rule)])
        yield subnet


def _rules(subnet: Subnet) -> list[list[str]]:
    """What lets the bridge's containers out, and the answers back in."""
    out, back = ["--in-interface", subnet.bridge], ["--out-interface", subnet.bridge]
    away = ["--source", subnet.network, "!", "--out-interface", subnet.bridge]
    return [
        ["--table", "nat", "--insert", "POSTROUTING", *away, "--jump", "MASQUERADE"],
        ["--insert", "FORWARD", *out, "--jump", "ACCEPT"],
        ["--insert", "FORWARD", *back, "--jump", "ACCEPT"],
    ]


def _undone(rule: Sequence[str]) -> list[str]:
    return ["--delete" if word == "--insert" else word for word in rule]


def _ip(*words: str) -> None:
    output_of(["ip", *words])


def free_network() -> int:
    """A number whose network no interface has."""
    taken = output_of(["ip", "-4", "-oneline", "address"])
    return next(n for n in secrets.SystemRandom().sample(range(1, 255), 254) if f" 10.213.{n}." not in taken)


@contextmanager
def _unmounted(folder: Path) -> Iterator[None]:
    """Entered after the engine started, left before it is told to stop: what it mounted goes with it."""
    try:
        yield
    finally:
        _remove_containers(f"unix://{folder}/docker.sock")


def _remove_containers(address: str) -> None:
    docker = ("docker", "--host", address)
    listed = run(
        Command(inherits=ENGINE, argv=(*docker, "ps", "--all", "--quiet")), check=False
    ).output.split()
    if listed:
        run(Command(inherits=ENGINE, argv=(*docker, "rm", "--force", "--volumes", *listed)), check=False)


# --- ssh

_SSH: Final = """\
#!/bin/sh
# Stands in for ssh: runs here what it is asked to run there.
while [ "$1" != "--" ]; do shift; done
shift 2
unset DOCKER_HOST DOCKER_CONTEXT
exec "$@"
"""


@contextmanager
def remote_builder(folder: Path, engine: Engine, name: str) -> Iterator[None]:
    """A builder of buildx, with its driver "remote", whose BuildKit is that of an engine."""
    place, within = folder / "buildkitd.sock", engine.host.removeprefix("unix://")
    with _relay(place, within):
        output_of(["docker", "buildx", "create", "--name", name, "--driver", "remote", f"unix://{place}"])
        try:
            yield
        finally:
            output_of(["docker", "buildx", "rm", name])


@contextmanager
def _relay(place: Path, engine: str) -> Iterator[None]:
    """Pass connections on to the BuildKit of an engine, which it gives after an upgrade (POST /grpc)."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(place))
    listening.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                threading.Thread(target=_joined, args=(client, engine), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield
    finally:
        listening.shutdown(socket.SHUT_RDWR)  # ends `accept`
        listening.close()


def _joined(client: socket.socket, engine: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as server:
        server.connect(engine)
        server.sendall(b"POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += server.recv(1)
        back = threading.Thread(target=_copied, args=(server, client), daemon=True)
        back.start()
        _copied(client, server)
        back.join()


def _copied(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(1 << 16):
            sink.sendall(content)
        sink.shutdown(socket.SHUT_WR)


def fake_ssh(folder: Path) -> Path:
    """A folder for PATH with an `ssh` whose other side is this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "ssh"
    program.write_text(_SSH)
    program.chmod(0o755)
    return folder


# --- images


def build(engine: Engine, reference: str, *, dockerfile: str, folder: Path) -> Digest:
    """Build a Dockerfile in a folder with BuildKit, into the engine's store; the image's id there.

    The id is asked of the engine: `--iidfile` holds the config digest, whatever the store.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(f"{dockerfile}# {unique()}\n")  # like no other, where it is copied
    words = ["docker", "buildx", "build", "--builder", "default", "--provenance=false", "--sbom=false"]
    words += ["--tag", reference, "--load", str(folder)]
    run(Command(inherits=ENGINE, argv=tuple(words), env=engine.command_environment()))
    built = engine.inspect(Reference.parse(reference))
    assert built is not None
    return built.id


_SMALL: Final = """\
FROM {base} AS whole
COPY shrink.py /shrink.py
RUN ["python3", "/shrink.py"]

FROM scratch
COPY --from=whole /small /
{settings}
CMD ["python3"]
"""


@functools.cache
def small_image() -> None:
    """See to it that the small base is on the engine that `docker` itself would use.

    It stays there, as the base does, and is made again only from another base or in another way: runs and
    workers beside each other stand on the same bytes, since one makes it and the others wait.
    """
    script = Path(__file__).with_name("shrink.py")
    with alone("release-small"), Engine.connect() as engine:
        base = engine.inspect(Reference.parse(BASE_IMAGE))
        assert base is not None, "./dev brings it"
        way = hashlib.sha256(f"{base.id}{_SMALL}{script.read_text()}".encode()).hexdigest()[:12]
        made = f"{SMALL_IMAGE.partition(':')[0]}:{way}"
        found = engine.inspect(Reference.parse(made))
        digest = found.id if found is not None else _made_small(engine, made, script)
        engine.tag(digest, Reference.parse(SMALL_IMAGE))


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One process of this user on this machine at a time."""
    with (Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _made_small(engine: Engine, name: str, script: Path) -> Digest:
    asked = ["docker", "image", "inspect", "--format", "{{json .Config.Env}}", BASE_IMAGE]
    settings = "\n".join(f"ENV {variable}" for variable in json.loads(output_of(asked)) or ())
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(script, folder)
        dockerfile = _SMALL.format(base=BASE_IMAGE, settings=settings)
        return build(engine, name, dockerfile=dockerfile, folder=Path(folder))


def copy_image(reference: str, *, source: Engine, target: Engine) -> None:
    """Bring an image from one engine's store into another's, as `docker save` and `docker load` do."""
    with (
        subprocess.Popen(
            ["docker", "save", reference],
            env={**os.environ, **source.command_environment()},
            stdout=subprocess.PIPE,
        ) as save,
        subprocess.Popen(
            ["docker", "load", "--quiet"],
            env={**os.environ, **target.command_environment()},
            stdin=save.stdout,
            stdout=subprocess.DEVNULL,
        ) as load,
    ):
        assert load.wait() == 0
    assert save.returncode == 0


def remove_service(engine: Engine, name: str) -> None:
    """Remove every container of a service, and every image that was built for it, by its title."""
    for container in engine.containers({"release.service": name}):
        engine.remove(container.id)
    title = f"label=org.opencontainers.image.title={name}"
    listed = ("docker", "images", "--filter", title, "--format", "{{.Repository}}:{{.Tag}}")
    if images := output_of([*listed]).split():
        run(Command(inherits=ENGINE, argv=("docker", "rmi", "--force", *images)), check=False)


@contextmanager
def own_containers(engine: Engine) -> Iterator[Mapping[str, str]]:
    """Labels for a test's containers; those that carry them are removed in the end."""
    labels = {LABEL: unique()}
    try:
        yield labels
    finally:
        for container in engine.containers(labels):
            engine.remove(container.id)


# --- git


def make_bare_remote(folder: Path) -> Path:
    """An empty bare git repository whose branch is `main`."""
    output_of(["git", "init", "--quiet", "--bare", "--initial-branch", "main", str(folder)])
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a folder that an engine has worked in, with what it left mounted there."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        with contextlib.suppress(Exception):
            output_of(["umount", "--lazy", mount])
    shutil.rmtree(folder, ignore_errors=True)
