"""Deploy and rollback under steady load through real proxies: no request fails, and slow ones end."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import pytest

from tests.engine.deploy.traffic.edge import HAPROXY, NGINX, PLAYED, Kind, Stand
from tests.engine.deploy.traffic.load import Slow
from tests.engine.deploy.world import SLOW_CHECK

_PORTS: Final = 400
"""More than are asked for in a second, fewer than in three."""


@pytest.mark.parametrize("kind", PLAYED, ids=str)
def test_no_request_fails_while_releases_are_deployed_and_rolled_back(kind: Kind, stand: Stand) -> None:
    """A request of some seconds that began before the switch is answered by the old one."""
    edge = stand(kind)
    world, load, slow = edge.world, edge.load(), Slow(port=edge.port, seconds=4)
    first = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert first.status == 0, first.err
    with load.going_on(), slow.under_way():
        deployed = world.invoke("deploy", "--to", "0.2.0", "--yes")
        rolled = world.invoke("rollback", "--yes")
    assert deployed.status == 0, deployed.err
    assert rolled.status == 0, rolled.err
    assert "start-first" in deployed.err
    assert load.failed == []
    assert load.versions == {"0.1.0", "0.2.0"}
    assert slow.answer == "200 0.1.0"
    assert world.containers() == {world.container: "running"}
    assert world.invoke("status", "--json").data["drift"] == []
    print(f"{kind}: {load}")


def test_a_health_check_that_the_engine_runs_seldom_is_not_waited_for(stand: Stand) -> None:
    """This proxy has a check of its own: ten minutes would be over long after a deployment's time."""
    edge = stand(HAPROXY)
    edge.world.release("0.3.0", Healthcheck=SLOW_CHECK)
    for version in ("0.1.0", "0.3.0"):
        done = edge.world.invoke("deploy", "--to", version, "--yes")
        assert done.status == 0, done.err
    assert "health check healthy, GET /healthz gave 200 OK" in done.err
    seen = edge.world.invoke("status", "--json").data
    assert ([one["health"] for one in seen["replicas"]], seen["drift"]) == (["starting"], [])


def test_nginx_does_not_run_out_of_ports(stand: Stand) -> None:
    """It makes a connection for each request; a used port would else stay taken for a minute."""
    few = ("--sysctl", f"net.ipv4.ip_local_port_range=32768 {32768 + _PORTS - 1}")
    edge = stand(replace(NGINX, options=(*NGINX.options, *few)))
    first = edge.world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert first.status == 0, first.err
    load, ends = edge.load(), time.monotonic() + 60
    with load.going_on():
        while len(load.answered) < 2 * _PORTS and not load.failed and time.monotonic() < ends:
            time.sleep(0.1)
    assert load.failed == []
    assert len(load.answered) >= 2 * _PORTS


def test_a_worker_beside_the_web_process_costs_no_request(stand: Stand) -> None:
    """Through a deployment, one whose worker fails when web has the traffic already, and a rollback."""
    edge = stand(HAPROXY)
    world, load, slow = edge.world, edge.load(), Slow(port=edge.port, seconds=4)

    def configure(worker: str) -> None:
        proxy = (
            f'{{ network = "{edge.network}", drain = "10s", {edge.kind.settings.format(proxy=edge.proxy)} }}'
        )
        processes = f'{{ web = {{ proxy = {proxy} }}, worker = {{ after = ["web"], env = {worker} }} }}'
        world.configure(publish="", processes=processes)

    configure("{}")
    first = world.invoke("deploy", "--to", "0.1.0", "--yes")
    assert first.status == 0, first.err
    with load.going_on(), slow.under_way():
        deployed = world.invoke("deploy", "--to", "0.2.0", "--yes")
        configure('{ MODE = "crashing" }')
        failed = world.invoke("deploy", "--to", "0.1.0", "--yes")
        rolled = world.invoke("rollback", "--yes")
    assert deployed.status == 0, deployed.err
    assert failed.status == 3, failed.err
    assert rolled.status == 0, rolled.err
    assert load.failed == []
    assert load.versions == {"0.1.0", "0.2.0"}
    assert slow.answer == "200 0.1.0"
    names = (f"{world.container}-web", f"{world.container}-worker")
    assert world.containers() == dict.fromkeys(names, "running")
