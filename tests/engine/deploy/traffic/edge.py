"""Real proxies with the configuration of examples/proxies, on a network of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from release.programs.process import output_of
from tests.engine import lab
from tests.engine.deploy.traffic.load import OFTEN_SECONDS, SELDOM_SECONDS, Load
from tests.engine.deploy.world import World

EXAMPLES: Final = Path(__file__).parents[4] / "examples" / "proxies"

APP: Final = '''\
"""Answers with its version, slowly where asked to; told to stop, it finishes what it has."""

import http.server, json, os, signal, sys, threading, time

mode = os.environ.get("MODE") or os.environ["IMAGE_MODE"]
if mode == "crashing":
    sys.exit("cannot start")
if mode == "slow":
    time.sleep(3)
under_way, served, stopping = set(), threading.Event(), threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True

    def do_GET(self):
        under_way.add(self)
        if self.path.startswith("/slow"):
            time.sleep(float(self.path.partition("?")[2]))
        asked_for_health = self.path == "/healthz"
        sick = mode == "sick" or (mode == "fading" and asked_for_health and served.is_set())
        body = json.dumps({"VERSION": os.environ["VERSION"]}).encode()
        self.send_response(500 if sick else 200)
        self.send_header("Content-Length", str(len(body)))
        if stopping.is_set():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        under_way.discard(self)
        if not asked_for_health:
            served.set()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256


def stop(*_):
    stopping.set()
    threading.Thread(target=server.shutdown).start()


server = Server(("0.0.0.0", 8000), Handler)
signal.signal(signal.SIGTERM, stop)
server.serve_forever(poll_interval=0.01)
server.socket.close()
while under_way:
    time.sleep(0.01)
time.sleep(0.05)
os._exit(0)
'''


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A proxy of the examples: its file, its program, and what the environment says of it."""

    name: str
    file: str
    program: tuple[str, ...]
    settings: str
    options: tuple[str, ...] = ()
    """Of `docker run`, as the how-to has them."""

    def __str__(self) -> str:
        """As tests are called."""
        return self.name


NGINX: Final = Kind(
    name="nginx",
    file="nginx.conf",
    program=("nginx", "-c", "/etc/edge/nginx.conf"),
    settings='kind = "dns"',
    options=("--sysctl", "net.ipv4.tcp_tw_reuse=1"),
)
HAPROXY: Final = Kind(
    name="haproxy",
    file="haproxy.cfg",
    program=("haproxy", "-W", "-db", "-f", "/etc/edge/haproxy.cfg"),
    settings='kind = "haproxy", container = "{proxy}", admin = "/tmp/admin.sock", backend = "api", '
    'state_file = "/tmp/servers"',
)
HAPROXY_DNS: Final = Kind(
    name="haproxy-dns",
    file="haproxy-dns.cfg",
    program=("haproxy", "-W", "-db", "-f", "/etc/edge/haproxy-dns.cfg"),
    settings='kind = "dns"',
)
CADDY: Final = Kind(
    name="caddy",
    file="caddy.json",
    program=("caddy", "run", "--config", "/etc/edge/caddy.json"),
    settings='kind = "caddy", container = "{proxy}", admin = "127.0.0.1:2019", backend = "api"',
    options=("--sysctl", "net.ipv4.tcp_migrate_req=1"),
)
CADDY_DNS: Final = Kind(
    name="caddy-dns",
    file="caddy-dns.json",
    program=("caddy", "run", "--config", "/etc/edge/caddy-dns.json"),
    settings='kind = "dns"',
)
KINDS: Final = (NGINX, HAPROXY, HAPROXY_DNS, CADDY, CADDY_DNS)
SOAK: Final = "RELEASE_SOAK" in os.environ
"""Whether `nox -s soak` asks: everything, and often."""
PLAYED: Final = KINDS if SOAK else (NGINX, HAPROXY, CADDY)
"""What the tests try under load: each program once; `nox -s soak` all."""
TOLD: Final = (HAPROXY, CADDY)
"""Those that take orders."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A proxy that runs before a service, and answers on a port of 127.0.0.1."""

    world: World
    kind: Kind
    network: str
    proxy: str
    port: int

    def configure(self, drain: str = "10s", **settings: str) -> None:
        """Put the environment behind the proxy; settings are TOML values."""
        told = self.kind.settings.format(proxy=self.proxy)
        table = f'{{ network = "{self.network}", drain = "{drain}", {told} }}'
        self.world.configure(**{"publish": "", "proxy": table, **settings})

    def load(self) -> Load:
        """Requests through the proxy."""
        return Load(port=self.port, pause=OFTEN_SECONDS if SOAK else SELDOM_SECONDS)


Stand = Callable[..., Edge]


@contextmanager
def edge(world: World, kind: Kind, folder: Path, *, text: str | None = None) -> Iterator[Edge]:
    """A proxy with its example's configuration, for this service's names."""
    folder.mkdir(parents=True, exist_ok=True)
    written = (EXAMPLES / kind.file).read_text() if text is None else text
    (folder / kind.file).write_text(written.replace("api-production", world.container))
    network = lab.unique("edge")
    output_of(["docker", "network", "create", network])
    proxy = lab.unique(kind.name)
    try:
        yield _started(world, kind, folder, network=network, proxy=proxy)
    finally:
        world.engine.remove(proxy)
        world.clean()
        output_of(["docker", "network", "rm", network])


def _started(world: World, kind: Kind, folder: Path, *, network: str, proxy: str) -> Edge:
    output_of(
        [
            *("docker", "run", "--detach", "--name", proxy, "--network", network, *kind.options),
            *("--env", "HOME=/tmp", "--env", "XDG_CONFIG_HOME=/tmp", "--publish", "127.0.0.1::8080"),
            *("--volume", f"{folder}:/etc/edge:ro", lab.PROXIES_IMAGE, *kind.program),
        ]
    )
    state = world.engine.state(proxy)
    assert state is not None
    return Edge(world=world, kind=kind, network=network, proxy=proxy, port=state.ports[8080][1])
