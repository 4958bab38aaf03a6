"""The shop of the examples: web, worker and scheduler change their release while orders come in.

Real parts: Django, Celery, PostgreSQL, Redis, nginx. What ran is read from the database, and whether two
schedulers ran at once from the engine's events.
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from release.images.engine import Engine
from release.process import output_of
from tests.engine import lab
from tests.engine.databases import POSTGRESQL, REDIS, databases_image
from tests.engine.deploy.traffic.edge import EXAMPLES, NGINX
from tests.engine.service import Service, toml

SHOP: Final = Path(__file__).parents[2] / "examples/shop"

MIGRATION: Final = '''\
"""A note for the customer. The old release does not know it, and can live with it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Expand: the column may be empty."""

    dependencies = [("orders", "0001_initial")]
    operations = [migrations.AddField("order", "note", models.CharField(max_length=100, null=True))]
'''


@dataclass
class Orders:
    """Orders that come in all the time, through the proxy."""

    port: int
    taken: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def coming_in(self) -> Iterator[None]:
        """One order after the other while the block runs; each takes the worker a while."""
        ended = threading.Event()
        thread = threading.Thread(target=self._order_until, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _order_until(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self.order("0.5")
            time.sleep(0.4)

    def order(self, seconds: str) -> None:
        """Place one order."""
        try:
            status, content = asked(self.port, "POST", "/orders", f"item=book&seconds={seconds}")
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(repr(error))
            return
        if status == http.client.CREATED:
            self.taken.append(json.loads(content)["order"])
        else:
            self.failed.append(f"{status} {content[:200]!r}")


def asked(port: int, method: str, path: str, body: str = "") -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Host": "shop.example"}
        connection.request(method, urllib.parse.quote(path), body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The shop in a repository of its own, its databases, and nginx in front of it."""

    service: Service
    engine: Engine
    port: int
    database: str

    def sql(self, query: str) -> list[list[str]]:
        """Rows of a question to PostgreSQL."""
        psql = ("psql", "--user=postgres", "--host=127.0.0.1", "-AtF,", "-c", query)
        return [row.split(",") for row in output_of(["docker", "exec", self.database, *psql]).splitlines()]

    def deployed(self, *words: str) -> str:
        """Standard error of a deployment that must succeed."""
        ended = self.service.invoke(*words, "--yes")
        assert ended.status == 0, ended.all
        return ended.err

    def version(self) -> str:
        """The version that answers behind the proxy."""
        status, content = asked(self.port, "GET", "/healthz")
        assert status == http.client.OK, content
        return str(json.loads(content)["version"])


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Iterator[Shop]:
    """A copy of the example with the databases of the tests."""
    service = Service(folder=tmp_path / "shop", name=lab.unique("shop"))
    shutil.copytree(SHOP, service.folder, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    network, image = lab.unique("shop"), str(databases_image(engine))
    configure(service, network=network, image=image)
    service.git("init", "--quiet", "--initial-branch", "main")
    service.commit("feat: take orders")
    with ExitStack() as stack:
        output_of(["docker", "network", "create", network])
        stack.callback(output_of, ["docker", "network", "rm", network])
        database = started(stack, engine, network, "db", image, POSTGRESQL["command"], user="postgres")
        started(stack, engine, network, "queue", image, REDIS["command"])
        stack.callback(lab.remove_service, engine, service.name)
        text = (EXAMPLES / NGINX.file).read_text().replace("api-production", f"{service.name}-production-web")
        (tmp_path / "edge").mkdir()
        (tmp_path / "edge" / NGINX.file).write_text(text)
        proxy = started(
            *(stack, engine, network, "edge", lab.PROXIES_IMAGE, NGINX.program),
            options=(*NGINX.options, "--publish=127.0.0.1::8080", f"--volume={tmp_path}/edge:/etc/edge:ro"),
        )
        state = engine.state(proxy)
        assert state is not None
        yield Shop(service=service, engine=engine, port=state.ports[8080][1], database=database)


def configure(service: Service, *, network: str, image: str) -> None:
    """Write the example's table with names of this test, and the databases that there are here."""
    import tomllib

    table = tomllib.loads((service.folder / "release.toml").read_text())
    table["service"] = service.name
    table["companions"] = {
        "db": {"image": image, **POSTGRESQL},
        "queue": {"image": image, **REDIS},
    }
    production = table["environments"]["production"]
    production["networks"] = [network]
    production["processes"]["web"]["proxy"]["network"] = network
    (service.folder / "release.toml").write_text(toml(table))


def started(
    stack: ExitStack,
    engine: Engine,
    network: str,
    alias: str,
    image: str,
    command: object,
    *,
    user: str = "",
    options: tuple[str, ...] = (),
) -> str:
    """A container beside the service, removed in the end."""
    name = lab.unique(alias)
    assert isinstance(command, list | tuple)
    run = ("docker", "run", "--detach", "--name", name, "--network", network, "--network-alias", alias)
    output_of([*run, *((f"--user={user}",) if user else ()), *options, image, *map(str, command)])
    stack.callback(engine.remove, name)
    return name


@pytest.mark.timeout(1500)
def test_no_order_is_lost_or_packed_twice_while_releases_change(shop: Shop) -> None:
    """Deploy with a migration, and roll back over it, with a queue under load."""
    release(shop, "0.1.0")
    with beats(shop) as ran:
        shop.deployed("deploy", "--to", "0.1.0")
        assert shop.version() == "0.1.0"
        orders = Orders(port=shop.port)
        with orders.coming_in():
            lab.eventually(lambda: len(orders.taken) > 2, what="orders", seconds=60)
            shop.service.commit("feat: note for the customer", {"orders/migrations/0002_note.py": MIGRATION})
            release(shop, "0.2.0")
            said = shop.deployed("deploy", "--to", "0.2.0")
            assert shop.version() == "0.2.0", said
            assert shop.sql("SELECT count(note) FROM orders_order") == [["0"]]
            shop.deployed("rollback", "--to", "0.1.0", "--cross-migrations")
            assert shop.version() == "0.1.0"
            time.sleep(2)
        lab.eventually(lambda: unpacked(shop) == 0, what="the queue to be empty", seconds=120)
    packed = {int(number): int(count) for number, count in shop.sql(PACKINGS)}
    print(f"{len(orders.taken)} orders, {len(orders.failed)} requests failed; versions {shop.sql(VERSIONS)}")
    assert orders.failed == []
    assert packed == dict.fromkeys(orders.taken, 1)
    assert {version for (version,) in shop.sql(VERSIONS)} == {"0.1.0", "0.2.0"}
    assert ran.most == 1
    assert ran.starts >= 3


PACKINGS: Final = "SELECT order_id, count(*) FROM orders_packing GROUP BY order_id"
VERSIONS: Final = "SELECT DISTINCT version FROM orders_packing"


def unpacked(shop: Shop) -> int:
    """The number of orders that no worker has packed."""
    ((count,),) = shop.sql("SELECT count(*) FROM orders_order WHERE NOT packed")
    return int(count)


def release(shop: Shop, version: str) -> None:
    """Release the last commit."""
    ended = shop.service.nox("release", "--", "--version", version)
    assert ended.status == 0, ended.all


@dataclass
class Beats:
    """Schedulers that ran, by the engine's events."""

    running: set[str] = field(default_factory=set)
    most: int = 0
    starts: int = 0

    def read(self, lines: Iterator[str]) -> None:
        """Follow the events to their end."""
        for line in lines:
            action, container = line.split()
            if action == "start":
                self.running.add(container)
                self.starts += 1
            elif action == "die":
                self.running.discard(container)
            self.most = max(self.most, len(self.running))


@contextmanager
def beats(shop: Shop) -> Iterator[Beats]:
    """Watch the containers of the process `beat` while the block runs. Its end is read to the last event."""
    filters = (f"label=release.service={shop.service.name}", "label=release.process=beat")
    words = [word for each in filters for word in ("--filter", each)]
    argv = ["docker", "events", *words, "--format", "{{.Action}} {{.ID}}"]
    seen = Beats()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        thread = threading.Thread(target=seen.read, args=(iter(process.stdout),))
        thread.start()
        try:
            yield seen
            time.sleep(1)
        finally:
            process.terminate()
            thread.join()
