"""The companions of the gates on a real engine: a private network, health, logs, and what stays of them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from release.chain import stale_runs
from release.chain.building.stage import BuiltImage
from release.chain.companions import run_companions
from release.chain.smoking.stage import smoke
from release.chain.stage_context import StageContext
from release.chain.testing import stage as test_stage
from release.chain.testing.run import run_tests
from release.errors import Cancelled, GateFailed
from release.events import Notice
from release.images.engine import Engine
from release.reference import Reference
from tests.engine import lab
from tests.engine.chain.conftest import Make
from tests.engine.chain.smokes import Bench
from tests.engine.databases import POSTGRESQL, REDIS, databases_image

BROKER = """
import socket
line, kept = socket.create_server(("0.0.0.0", 5672)), []
print("broker of", os.environ.get("NAME"), flush=True)
while True: kept.append(line.accept())
"""
CONNECTS = ["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 5672))"]
CHECK = ["psql", "--host=db", "--user=postgres", "-c", "SELECT 1"]
CLIENT = """
import socket
socket.create_connection(("broker", 5672)).close()
serve()
"""


def left(engine: Engine, ctx: StageContext) -> tuple[int, int]:
    """How many containers and networks of a run the engine has."""
    labels = {"release.run": ctx.run_folder.id}
    return len(engine.containers(labels)), len(engine.labelled_networks(labels))


@contextmanager
def beside(bench: Bench, image: str | None = None, **keys: Any) -> Iterator[StageContext]:
    """A run whose gates have a broker beside them."""
    tables = {"test": keys.pop("test")} if "test" in keys else {}
    name = image or bench.name(BROKER)
    stored = bench.engine.inspect(Reference.parse(name))
    assert stored is not None
    broker = {"image": str(stored.id), "health": CONNECTS, "timeout": "10s", **keys}
    table = {"port": 8000, "timeout": "10s", "stop_grace": "1s"}
    with bench.ctx(name, smoke=table, companions={"broker": broker}, **tables) as ctx:
        yield ctx


def test_a_service_finds_its_broker_by_name(bench: Bench) -> None:
    """Without it the smoke run fails, and the hint says how to start one; nothing of it is left."""
    client = bench.name(CLIENT)
    broker = bench.engine.inspect(Reference.parse(bench.name(BROKER)))
    assert broker is not None
    table = {"broker": {"image": str(broker.id), "health": CONNECTS}}
    with pytest.raises(GateFailed, match="ended with status 1") as caught:
        bench.smoke(client, {})
    assert "[tool.release.companions.<name>]" in caught.value.hint
    assert bench.smoke(client, {"companions": table}).summary.startswith("/ answered 200")
    assert left(bench.engine, bench.contexts[-1]) == (0, 0)
    with pytest.raises(GateFailed):
        bench.smoke(client, {"companions": {"broker": table["broker"] | {"gates": ["test"]}}})


LEAVES = """
import socket
own = socket.gethostbyname(socket.gethostname()).rpartition(".")[0]
for address in (f"{own}.1", "172.17.0.1", "1.1.1.1"):
    try:
        socket.create_connection((address, int(sys.argv[1])), timeout=1)
    except OSError as error:
        print(address, "cannot be reached:", error, flush=True)
"""


def test_no_way_leads_out_of_the_private_network(bench: Bench) -> None:
    """Not even to the engine's own machine, whose bridge every other network has."""
    tests = bench.name(LEAVES)
    stored = bench.engine.inspect(Reference.parse(tests))
    assert stored is not None
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - on every bridge of this machine
        command = ["python3", "/srv/app.py", str(server.getsockname()[1])]
        with beside(bench, test={"command": command}) as ctx, run_companions(ctx, "test") as private:
            ran = run_tests(ctx, stored, private)
    assert (ran.seen.status, sum("cannot be reached" in line for line in ran.tail)) == (0, 3), ran.tail


def test_a_companion_that_ends_is_named_with_its_last_lines(bench: Bench) -> None:
    """And one whose health command fails, with its output; both before the gate has begun."""
    for program, keys, found, lines in (
        ("sys.exit('no space')", {}, "the companion broker ended with status 1", ("no space",)),
        (
            BROKER,
            {"health": ["python3", "-c", "exit('not yet')"], "timeout": "1s"},
            "is not healthy: `python3 -c 'exit('\"'\"'not yet'\"'\"')'` ended with status 1 for 1 s",
            ("python3: not yet", "broker of None"),
        ),
        (BROKER, {"health": ["pg_isready"]}, "is not healthy: `pg_isready` ended with status 12", None),
    ):
        with (
            beside(bench, bench.name(program), **keys) as ctx,
            pytest.raises(GateFailed) as caught,
            run_companions(ctx, "smoke"),
        ):
            pytest.fail("the gate has begun")
        assert found in caught.value.found
        assert lines is None or caught.value.tail == lines
        assert "[tool.release.companions.broker]" in caught.value.hint
        assert left(bench.engine, ctx) == (0, 0)


def test_what_companions_wrote_is_shown_when_the_gate_fails(bench: Bench) -> None:
    """Below the gate's own lines, without the values of secrets; one that ended meanwhile is named."""

    def fail(ctx: StageContext) -> None:
        with run_companions(ctx, "smoke"):
            (container,) = bench.engine.containers({"release.run": ctx.run_folder.id})
            bench.engine.stop(container.id, grace=0)
            raise GateFailed("smoke", "it failed", "hint", ("own line",))

    secret = {"NAME": {"from_command": ["echo", "canary-5309"]}}
    with beside(bench, secrets=secret) as ctx, pytest.raises(GateFailed) as caught:
        fail(ctx)
    assert caught.value.found.startswith("it failed; the companion broker ended with status ")
    assert caught.value.tail == ("own line", "broker: broker of ***")
    log = bench.log()
    assert "output of the companion broker:" in log
    assert "canary" not in log


def test_a_run_that_is_cancelled_leaves_nothing(bench: Bench) -> None:
    """As when a person or a CI system stops it."""

    def cancel(ctx: StageContext) -> None:
        with run_companions(ctx, "smoke"):
            ctx.cancellation.request("stopped")
            ctx.cancellation.check()

    with beside(bench) as ctx, pytest.raises(Cancelled):
        cancel(ctx)
    assert left(bench.engine, ctx) == (0, 0)


def test_what_a_killed_run_left_is_removed_by_the_next_one(bench: Bench, engine: Engine) -> None:
    """Containers and their network; those of a living run stay."""
    with beside(bench) as ctx, run_companions(ctx, "smoke") as (network,):
        told = list[Any]()
        dead = ctx.container_labels("companion") | {"release.owner.pid": "4194303"}
        gone = lab.unique("release-companion")
        engine.create_network(gone, dead, private=True)
        subprocess.run(
            [
                *("docker", "run", "--detach", "--network", gone),
                *(word for key, value in dead.items() for word in ("--label", f"{key}={value}")),
                str(ctx.products.get(BuiltImage).stored_image.id),
            ],
            check=True,
            capture_output=True,
        )
        stale_runs.clean_up_stale_runs(
            Path(ctx.run_folder.release_folder), "api", lambda: engine, told.append
        )
        assert not engine.has_network(gone)
        assert engine.has_network(network)
        assert [type(event) for event in told] == [Notice, Notice]


def test_an_image_that_is_nowhere_is_named(bench: Bench) -> None:
    """By its id, or by a name that no registry has."""
    digest = "sha256:" + "7" * 64
    for image in (digest, f"localhost/nowhere@{digest}"):
        with (
            beside(bench, image=bench.name(BROKER)) as made,
            bench.ctx(
                str(made.products.get(BuiltImage).reference),
                companions={"broker": {"image": image, "health": ["true"]}},
            ) as ctx,
            pytest.raises(GateFailed, match="the engine has no image") as caught,
            run_companions(ctx, "smoke"),
        ):
            pytest.fail("the gate has begun")
        assert "docker load" in caught.value.hint


def test_an_image_of_a_registry_is_pulled_by_its_digest(bench: Bench, registry: str) -> None:
    """With the login that the engine's user has; and it is not pulled again."""
    name = f"{registry}/{lab.unique('broker')}:1"
    stored = bench.engine.inspect(Reference.parse(bench.name(BROKER)))
    assert stored is not None
    bench.names.append(name)
    bench.engine.tag(stored.id, Reference.parse(name))
    pushed = subprocess.run(["docker", "push", name], check=True, capture_output=True, text=True).stdout
    digest = pushed.partition("digest: ")[2].split()[0]
    for used in bench.names:
        bench.engine.untag(Reference.parse(used))
    client = bench.name(CLIENT)
    table = {"broker": {"image": f"{name}@{digest}", "health": CONNECTS}}
    assert bench.smoke(client, {"companions": table})
    assert "pulling" in bench.log()
    assert bench.smoke(client, {"companions": table})
    assert "pulling" not in bench.log()
    subprocess.run(["docker", "image", "rm", f"{name}@{digest}"], check=False, capture_output=True)


def test_tests_that_need_postgresql_and_redis_run_in_the_gate(bench: Bench) -> None:
    """The real ones, in a network of their own; the smoke gate has its own ones."""
    image = databases_image(bench.engine)
    stored = bench.engine.inspect(image)
    assert stored is not None
    both = {"db": {"image": str(image), **POSTGRESQL}, "cache": {"image": str(image), **REDIS}}
    with bench.ctx(
        stored.references[0],
        test={"command": ["python3", "-m", "unittest", "-v", "/srv/test_databases.py"]},
        smoke={"check": CHECK, "command": ["sleep", "60"], "init": True},
        companions=both,
    ) as ctx:
        tests = test_stage.test(ctx).tests
        assert tests is not None
        assert (tests.count, tests.evidence) == (2, "output")
        assert "ended with status 0, stopped with status 143" in smoke(ctx).summary
    assert left(bench.engine, ctx) == (0, 0)


def test_a_release_records_its_companions_and_what_was_asked(make: Make, bench: Bench) -> None:
    """By their images; the smoke run by its question, without a request that was not made."""
    broker = bench.engine.inspect(Reference.parse(bench.name(BROKER)))
    assert broker is not None
    check = ["python3", "-c", "import socket; socket.create_connection(('broker', 5672))"]
    service = make(
        smoke={"check": check, "stop_grace": "3s"},
        companions={"broker": {"image": str(broker.id), "health": CONNECTS, "gates": ["smoke"]}},
    )
    released = service.nox("release")
    assert released.status == 0, released.all
    (record,) = service.records()
    assert (record["smoke"]["check"], "probe" in record["smoke"]) == (check, False)
    found = {gate["name"]: gate.get("companions") for gate in record["gates"]}
    assert (found["smoke"], found["test"]) == ({"broker": str(broker.id)}, None)
