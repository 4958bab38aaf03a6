"""What a manager's answers mean: facts of nodes and tasks, and whether anybody decides."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from release.deploy.targets.swarm.api import Swarm
from release.deploy.targets.swarm.objects import Service
from release.errors import EngineError, EngineUnreachable, NameTaken, NoQuorum
from release.images.engine import Engine
from release.reference import Reference

MANAGER: Mapping[str, Any] = {
    "LocalNodeState": "active",
    "ControlAvailable": True,
    "NodeID": "n1",
    "RemoteManagers": [{"Addr": "10.0.0.2:2377"}, {"Addr": "10.0.0.3:2377"}],
}
NODE: Mapping[str, Any] = {
    "ID": "n1",
    "Description": {
        "Hostname": "a",
        "Platform": {"Architecture": "aarch64", "OS": "linux"},
        "Resources": {"NanoCPUs": 4_000_000_000, "MemoryBytes": 8 << 30},
        "Engine": {"EngineVersion": "26.1.5", "Labels": {"disk": "ssd"}},
    },
    "Status": {"State": "ready", "Addr": "10.0.0.2"},
    "Spec": {"Availability": "drain", "Role": "manager", "Labels": {"zone": "east"}},
    "ManagerStatus": {"Leader": True, "Reachability": "reachable"},
}


class Client:
    """What docker-py would give."""

    def __init__(self, swarm: Mapping[str, Any]) -> None:
        self.swarm = swarm
        self.node = NODE
        self.posted: list[tuple[str, Mapping[str, str]]] = []

    def info(self) -> Mapping[str, Any]:
        return {"Swarm": self.swarm}

    def nodes(self) -> list[Mapping[str, Any]]:
        return [self.node]

    base_url, api_version, timeout = "http+docker://there", "1.45", 60

    def post(self, url: str, **sent: Any) -> requests.Response:
        """Taken, and kept for the test."""
        self.posted.append((url, sent["headers"]))
        answer = requests.Response()
        answer.status_code, answer._content = 200, b'{"ID": "s1"}'
        return answer


class Talking:
    """An engine that answers one question about itself, and fails all others in a way of the test's."""

    host = "unix:///there.sock"

    def __init__(self, failing: EngineError | None, **told: Any) -> None:
        self.failing, self.client = failing, Client({**MANAGER, **told})

    @contextmanager
    def talking(self, attempted: str) -> Iterator[Client]:
        if self.failing is not None and attempted != "ask for the Swarm":
            raise self.failing
        yield self.client


def swarm(failing: EngineError | None = None, **told: Any) -> Swarm:
    return Swarm(engine=cast(Engine, Talking(failing, **told)))


def test_without_a_majority_every_question_ends_in_one_error() -> None:
    """Told by what the engine says of itself; the managers that it knows are named."""
    with pytest.raises(NoQuorum) as caught:
        swarm(EngineError("list the nodes", "status 500"), Error="there is no leader").nodes()
    assert caught.value.exit_code == 6
    assert "10.0.0.2:2377, 10.0.0.3:2377" in caught.value.found
    assert "there is no leader" in caught.value.found


@pytest.mark.parametrize(
    "error",
    [EngineUnreachable("list the nodes", "gone"), NameTaken("create x", "already have one")],
)
def test_an_error_that_says_more_is_left_as_it_is(error: EngineError) -> None:
    """Whatever the engine says of its Swarm."""
    with pytest.raises(type(error)) as caught:
        swarm(error, Error="there is no leader").nodes()
    assert caught.value is error


@pytest.mark.parametrize("told", [{"Error": ""}, {"ControlAvailable": False, "Error": "no manager"}])
def test_an_error_of_a_swarm_that_can_decide_is_the_engine_s(told: dict[str, Any]) -> None:
    """So is that of an engine which is no manager."""
    error = EngineError("list the nodes", "status 500")
    with pytest.raises(EngineError) as caught:
        swarm(error, **told).nodes()
    assert caught.value is error


def test_facts_of_a_node_are_read_in_the_words_of_images_and_settings() -> None:
    """Platform, thousandths of a processor, bytes, labels, and what kind of manager it is."""
    (node,) = swarm().nodes()
    assert (node.platform, node.cpus, node.memory) == ("linux/arm64", 4000, 8 << 30)
    assert (node.reachability, node.availability, node.takes_tasks) == ("leader", "drain", False)
    assert (node.labels, node.engine_labels, node.version) == ({"zone": "east"}, {"disk": "ssd"}, "26.1.5")


@pytest.mark.parametrize("known", [True, False], ids=["a login", "none"])
def test_only_a_login_that_there_is_goes_along_for_the_nodes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, known: bool
) -> None:
    """An empty one would replace what the nodes were given: without any they keep it."""
    auths = {"registry.example": {"auth": base64.b64encode(b"me:word").decode()}} if known else {}
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": auths}))
    engine = Talking(None)
    there = Service(id="s1", name="api", version=7, spec={}, updated_at="", update=None, update_message="")
    image = Reference.parse(f"registry.example/api@sha256:{'a' * 64}")
    assert Swarm(engine=cast(Engine, engine)).update(there, {"Name": "api"}, image)
    ((url, headers),) = engine.client.posted
    assert url.endswith("/services/s1/update?version=7&registryAuthFrom=spec")
    sent = [json.loads(base64.urlsafe_b64decode(text)) for text in headers.values()]
    login = {"username": "me", "password": "word", "serveraddress": "registry.example"}
    assert sent == ([login] if known else [])


@pytest.mark.parametrize(
    ("seen", "manages_at", "address"),
    [
        ("10.0.0.2", "10.0.0.9:2377", "10.0.0.2"),
        ("0.0.0.0", "10.0.0.9:2377", "10.0.0.9"),  # noqa: S104 - told, not bound
        ("::", "[fd00::9]:2377", "fd00::9"),
        ("0.0.0.0", "", "0.0.0.0"),  # noqa: S104
    ],
)
def test_a_leader_that_knows_no_address_of_its_own_has_that_of_the_managers(
    seen: str, manages_at: str, address: str
) -> None:
    """After an election it tells 0.0.0.0 of itself, which is another machine for everybody who asks."""
    engine = Talking(None)
    status, manager = {"State": "ready", "Addr": seen}, {"Leader": True, "Addr": manages_at}
    engine.client.node = {**NODE, "Status": status, "ManagerStatus": manager}
    (node,) = Swarm(engine=cast(Engine, engine)).nodes()
    assert node.address == address
