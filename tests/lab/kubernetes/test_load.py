"""Deploy and rollback under steady load through a Service: no request fails."""

from __future__ import annotations

import json
from typing import Final

import pytest

from tests.engine.deploy.traffic.edge import APP
from tests.engine.deploy.traffic.load import SELDOM_SECONDS, Load, Slow
from tests.lab.kubernetes.conftest import Make
from tests.lab.kubernetes.world import ClusterWorld

pytestmark = pytest.mark.timeout(240)

PRE_STOP: Final = {"kubernetes.service_type": '"NodePort"', "kubernetes.pre_stop": '"5s"'}


def entrance(world: ClusterWorld) -> tuple[str, int]:
    """Return address and port of the Service on the first node."""
    nodes = json.loads(world.kubectl("get", "nodes", "--output", "json"))["items"]
    known = {each["type"]: each["address"] for each in nodes[0]["status"]["addresses"]}
    (service,) = world.objects("services")
    return known["InternalIP"], service["spec"]["ports"][0]["nodePort"]


def test_no_request_fails_while_releases_are_deployed_and_rolled_back(make: Make) -> None:
    """With connections that are kept and with new ones; a slow request that began before is answered."""
    world = make(app=APP)
    for version in ("0.1.0", "0.2.0"):
        world.release(version)
    world.release("0.3.0", mode="crashing")
    world.configure(**PRE_STOP, stop_grace='"10s"')
    world.deployed("0.1.0")
    host, port = entrance(world)
    load = Load(host=host, port=port, pause=SELDOM_SECONDS)
    slow = Slow(host=host, port=port, seconds=4)
    with load.going_on(), slow.under_way():
        world.deployed("0.2.0")
        failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
        world.rolled_back("--to", "0.1.0")
    print(load)
    assert failed.status == 3, failed.err
    assert load.failed == []
    assert load.versions == {"0.1.0", "0.2.0"}
    assert slow.answer == "200 0.1.0"
    assert world.drift() == []
