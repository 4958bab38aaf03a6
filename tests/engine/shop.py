"""The shop of the examples: web, worker and scheduler change their release while orders come in.

Real parts: Django, Celery, PostgreSQL, Redis, nginx. One story for each kind of target. What ran is read
from the database and from the commands that Redis got; whether two schedulers ran at once, from the events
of the engines and from the connections that sent their tasks to Redis.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import re
import shutil
import subprocess
import threading
import time
import tomllib
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from release.images.engine import Engine
from release.programs.process import output_of
from tests.engine import lab
from tests.engine.databases import POSTGRESQL, REDIS
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
_BEAT: Final = "process=beat"
_TASK: Final = re.compile(r'\\"id\\": \\"([0-9a-f-]{36})\\"')
_LINE: Final = re.compile(r'^\d+\.\d+ \[\d+ (\S+)\] "(\w+)"(.*)$')


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
            self.failed.append(f"{_now()} {error!r}")
            return
        if status == http.client.CREATED:
            self.taken.append(json.loads(content)["order"])
        else:
            self.failed.append(f"{_now()} {status} {content[:200]!r}")


def _now() -> str:
    return time.strftime("%H:%M:%S")


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
    port: int
    """Of the proxy, on 127.0.0.1."""
    psql: tuple[str, ...]
    """The program that asks the database."""
    redis: tuple[str, ...]
    """The program that asks the queue."""
    hosts: tuple[str, ...] = ()
    """Engines on which it runs; none: that of `docker` itself."""

    def sql(self, query: str) -> list[list[str]]:
        """Rows of a question to PostgreSQL."""
        return [row.split(",") for row in output_of([*self.psql, "-AtF,", "-c", query]).splitlines()]

    def deployed(self, *words: str) -> str:
        """Standard error of a deployment that must succeed."""
        ended = self.service.invoke(*words, "--yes")
        assert ended.status == 0, ended.all
        print(*(line for line in ended.err.splitlines() if line.startswith("✓")), sep="\n")
        return ended.err

    def version(self) -> str:
        """The version that answers behind the proxy."""
        status, content = asked(self.port, "GET", "/healthz")
        assert status == http.client.OK, content
        return str(json.loads(content)["version"])

    def release(self, version: str) -> None:
        """Release the last commit."""
        ended = self.service.nox("release", "--", "--version", version)
        assert ended.status == 0, ended.all

    def unpacked(self) -> int:
        """The number of orders that no worker has packed."""
        ((count,),) = self.sql("SELECT count(*) FROM orders_order WHERE NOT packed")
        return int(count)


# --- the repository and its databases


def copied(folder: Path, **environ: str) -> Service:
    """A copy of the example under a name of its own, without a commit."""
    service = Service(folder=folder, name=lab.unique("shop"), environ=environ)
    shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    return service


def table_of(service: Service, image: str) -> dict[str, Any]:
    """The example's table with the name of this copy, and the databases that there are here."""
    table = tomllib.loads((service.folder / "release.toml").read_text())
    table["service"] = service.name
    table["companions"] = {"db": {"image": image, **POSTGRESQL}, "queue": {"image": image, **REDIS}}
    return table


def committed(service: Service, table: dict[str, Any]) -> None:
    """Write the table, and make the first commit."""
    (service.folder / "release.toml").write_text(toml(table))
    service.git("init", "--quiet", "--initial-branch", "main")
    service.commit("feat: take orders")


def started(stack: ExitStack, engine: Engine, image: str, command: object, *options: str) -> str:
    """A container beside the service, removed in the end."""
    name = lab.unique("shop-beside")
    assert isinstance(command, list | tuple)
    output_of(["docker", "run", "--detach", "--name", name, *options, image, *map(str, command)])
    stack.callback(engine.remove, name)
    return name


# --- what the engines and Redis tell


@contextmanager
def following(argv: list[str], each: Callable[[str], None]) -> Iterator[None]:
    """Read the lines of a program while the block runs, and a second longer."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        thread = threading.Thread(target=_read_all, args=(process.stdout, each))
        thread.start()
        try:
            yield
            time.sleep(1)
        finally:
            process.terminate()
            thread.join()


def _read_all(lines: Iterable[str], each: Callable[[str], None]) -> None:
    for line in lines:
        each(line)


@dataclass
class Beats:
    """Schedulers that ran, by the events of all engines."""

    events: list[tuple[int, str]] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Keep an event: its time in nanoseconds, and whether a container started or died."""
        moment, action = line.split()
        if action in ("start", "die"):
            self.events.append((int(moment), action))

    @property
    def starts(self) -> int:
        return [action for _, action in self.events].count("start")

    @property
    def most(self) -> int:
        """How many ran at once. An end and a start never have the same nanosecond."""
        steps = [1 if action == "start" else -1 for _, action in sorted(self.events)]
        return max(itertools.accumulate(steps), default=0)


@dataclass
class Broker:
    """What Redis was told (MONITOR): tasks sent, given to a worker, and ended."""

    ended: Counter[str] = field(default_factory=Counter)
    """How often a worker reported the end of each task of an order."""
    schedulers: list[str] = field(default_factory=list)
    """Connections that sent ticks, one after the other; each again only if another was between."""
    _tasks: dict[str, str] = field(default_factory=dict)

    def read(self, line: str) -> None:
        """Keep a command. A worker keeps what it got in `unacked`, until it has ended (kombu, Redis).

        A worker that stops reads what it has not begun, and puts it back into the queue: that is no end.
        """
        if (found := _LINE.match(line)) is None:
            return
        client, command, words = found.groups()
        if command == "LPUSH" and "orders.tasks.tick" in words and client not in self.schedulers[-1:]:
            self.schedulers.append(client)
        elif command in ("HSET", "HGET", "HDEL") and words.startswith(' "unacked" '):
            tag = words.split('"')[3]
            if command == "HSET" and "orders.tasks.pack" in words and (task := _TASK.search(words)):
                self._tasks[tag] = task[1]
            elif command == "HGET":
                self._tasks.pop(tag, None)
            elif command == "HDEL" and tag in self._tasks:
                self.ended[self._tasks[tag]] += 1


@contextmanager
def watched(shop: Shop) -> Iterator[tuple[Beats, Broker]]:
    """Watch the containers of the process `beat` and the commands of Redis while the block runs."""
    chosen = ("--filter", f"label=release.service={shop.service.name}", "--filter", f"label=release.{_BEAT}")
    form = ("--format", "{{.TimeNano}} {{.Action}}")
    beats, broker = Beats(), Broker()
    with ExitStack() as stack:
        for host in shop.hosts or ("",):
            engine = ["docker", *(("--host", host) if host else ()), "events", *chosen, *form]
            stack.enter_context(following(engine, beats.read))
        stack.enter_context(following([*shop.redis, "MONITOR"], broker.read))
        yield beats, broker


# --- the story


def releases_change_under_load(shop: Shop) -> None:
    """Release, deploy, change with a migration, deploy, roll back over it, while orders come in."""
    with timed("release 0.1.0"):
        shop.release("0.1.0")
    with watched(shop) as (beats, broker):
        with timed("deploy 0.1.0"):
            shop.deployed("deploy", "--to", "0.1.0")
        assert shop.version() == "0.1.0"
        orders = Orders(port=shop.port)
        with orders.coming_in():
            lab.eventually(lambda: len(orders.taken) > 2, what="orders", seconds=60)
            shop.service.commit("feat: note for the customer", {"orders/migrations/0002_note.py": MIGRATION})
            with timed("release 0.2.0"):
                shop.release("0.2.0")
            with timed("deploy 0.2.0"):
                said = shop.deployed("deploy", "--to", "0.2.0")
            assert shop.version() == "0.2.0", said
            assert shop.sql("SELECT count(note) FROM orders_order") == [["0"]]
            with timed("rollback"):
                shop.deployed("rollback", "--to", "0.1.0", "--cross-migrations")
            assert shop.version() == "0.1.0"
            time.sleep(2)
        with timed("empty the queue"):
            lab.eventually(lambda: shop.unpacked() == 0, what="the queue to be empty", seconds=120)
    packed = {int(number): int(count) for number, count in shop.sql(_PACKINGS)}
    print(
        f"{len(orders.taken)} orders, {len(orders.failed)} requests failed; versions {shop.sql(_VERSIONS)}; "
        f"Redis: {len(broker.ended)} tasks ended, schedulers {broker.schedulers}; "
        f"engines: {beats.starts} starts of beat, {beats.most} at once",
        *orders.failed,
        sep="\n",
    )
    assert orders.failed == []
    assert packed == dict.fromkeys(orders.taken, 1)
    assert {version for (version,) in shop.sql(_VERSIONS)} == {"0.1.0", "0.2.0"}
    assert list(broker.ended.values()) == [1] * len(orders.taken)
    assert len(broker.schedulers) == len(set(broker.schedulers)), "two schedulers sent tasks in turns"
    assert beats.most == 1
    assert beats.starts >= 3


_PACKINGS: Final = "SELECT order_id, count(*) FROM orders_packing GROUP BY order_id"
_VERSIONS: Final = "SELECT DISTINCT version FROM orders_packing"


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block took."""
    began = time.monotonic()
    yield
    print(f"{_now()} {what}: {time.monotonic() - began:.1f} s")
