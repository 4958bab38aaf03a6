"""What goes wrong behind a proxy: the old one keeps the traffic, or it is said exactly what is where."""

from __future__ import annotations

import signal

import pytest

from tests.engine import lab
from tests.engine.deploy.traffic.edge import HAPROXY, NGINX, TOLD, Edge, Kind, Stand


def deployed(edge: Edge, version: str = "0.1.0") -> None:
    """This release has the traffic."""
    ended = edge.world.invoke("deploy", "--to", version, "--yes")
    assert ended.status == 0, ended.err


def assert_as_before(edge: Edge, version: str = "0.1.0") -> None:
    """One container, in traffic, as the ledger says."""
    assert edge.world.containers() == {edge.world.container: "running"}
    found = edge.world.invoke("status", "--json").data
    assert (found["running"]["version"], found["drift"], found["leftovers"]) == (version, [], [])


@pytest.mark.parametrize(
    ("kind", "mode", "said"),
    [
        (HAPROXY, "crashing", "the container ended"),
        (NGINX, "sick", "GET /healthz gave 500"),
        (NGINX, "fading", "GET /healthz gave 500"),
    ],
    ids=lambda value: str(value).partition(" ")[0],
)
def test_a_release_that_does_not_serve_never_costs_a_request(
    kind: Kind, mode: str, said: str, stand: Stand
) -> None:
    """It crashes, never answers well, or answers badly as soon as it has the traffic."""
    edge = stand(kind)
    edge.world.release("0.3.0", mode=mode)
    deployed(edge)
    edge.configure(health_timeout='"4s"')
    load = edge.load()
    with load.going_on():
        failed = edge.world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3, failed.err
    assert said in failed.err
    assert load.failed == []
    assert load.versions == ({"0.1.0", "0.3.0"} if mode == "fading" else {"0.1.0"})
    assert edge.world.statuses()[-2:] == ["started", "restored"]
    assert_as_before(edge)


@pytest.mark.parametrize("kind", TOLD, ids=str)
def test_a_proxy_that_does_not_answer_stops_a_deployment_before_it_begins(kind: Kind, stand: Stand) -> None:
    """Exit status 2, and the old one runs on untouched."""
    edge = stand(kind)
    deployed(edge)
    edge.world.engine.stop(edge.proxy, grace=1000)
    refused = edge.world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert refused.status == 2, refused.err
    assert "environments.production.proxy: " in refused.err
    assert "nothing was changed" in refused.err
    assert edge.world.containers() == {edge.world.container: "running"}
    told = edge.world.invoke("status", "--json").data["drift"]
    assert len(told) == 1
    assert "it is unknown which containers get requests" in told[0]


def test_a_proxy_that_goes_away_in_the_middle_is_a_mixed_state_that_says_what_is_where(stand: Stand) -> None:
    """Both run, nobody knows who is in traffic; when the proxy is back, the next command ends it."""
    edge = stand(HAPROXY)
    world = edge.world
    world.release("0.3.0", mode="slow")
    deployed(edge)
    mixed = world.when(
        "deploy",
        "--to",
        "0.3.0",
        "--yes",
        line="▸ health",
        act=lambda _: world.engine.stop(edge.proxy, grace=0),
    )
    assert mixed.status == 4, mixed.err
    assert f"{world.container} (0.1.0, running)" in mixed.err
    assert "(0.3.0, running)" in mixed.err
    assert "it is unknown which containers get requests" in mixed.err
    world.engine.start(edge.proxy)
    back = world.engine.state(edge.proxy)
    assert back is not None
    load = edge.load()
    load.port = back.ports[8080][1]
    lab.eventually(load.answers, what="the proxy's own memory of its servers")
    with load.going_on():
        deployed(edge, "0.2.0")
    assert load.failed == []
    assert_as_before(edge, "0.2.0")


@pytest.mark.parametrize(
    ("kind", "line", "words", "version"),
    [
        (HAPROXY, "▸ switch", ("deploy", "--to", "0.2.0"), "0.2.0"),
        (HAPROXY, "▸ drain", ("converge",), "0.2.0"),
        (NGINX, "▸ switch", ("converge", "--revert"), "0.1.0"),
    ],
    ids=["haproxy-deployed-again", "haproxy-converged", "nginx-reverted"],
)
def test_an_operator_who_is_killed_costs_no_request_and_the_next_command_ends_it(
    kind: Kind, line: str, words: tuple[str, ...], version: str, stand: Stand
) -> None:
    """Who is in traffic is asked of the proxy; what was left over goes."""
    edge = stand(kind)
    deployed(edge)
    load = edge.load()
    with load.going_on():
        killed = edge.world.when(
            *("deploy", "--to", "0.2.0", "--yes"),
            line=line,
            act=lambda process: process.send_signal(signal.SIGKILL),
        )
        assert killed.status == -signal.SIGKILL
        left = [name for name in edge.world.containers() if not name.startswith("release-lock-")]
        assert len(left) == 2
        ended = edge.world.invoke(*words, "--yes")
    assert ended.status == 0, ended.err
    assert load.failed == []
    assert_as_before(edge, version)


def test_replicas_are_replaced_one_by_one_and_put_back_together(stand: Stand) -> None:
    """Two serve; a release of which only the first container is well leaves the two that were there."""
    edge = stand(HAPROXY, replicas="2")
    world = edge.world
    deployed(edge)
    names = {world.container: "running", f"{world.container}.2": "running"}
    assert world.containers() == names
    world.release("0.3.0", mode="crashing")
    load = edge.load()
    with load.going_on():
        deployed(edge, "0.2.0")
        failed = world.invoke("deploy", "--to", "0.3.0", "--yes")
    assert failed.status == 3, failed.err
    assert load.failed == []
    assert world.containers() == names
    found = world.invoke("status", "--json").data
    assert [one["version"] for one in found["replicas"]] == ["0.2.0", "0.2.0"]
    assert found["drift"] == []
    edge.configure(replicas="1")
    deployed(edge, "0.2.0")
    assert_as_before(edge, "0.2.0")


def test_a_rollback_keeps_todays_place_and_restores_the_settings(stand: Stand) -> None:
    """Released without a proxy, rolled back to behind one: the plan says so, and no port is published."""
    edge = stand(HAPROXY, env='{ GREETING = "hello" }')
    world = edge.world
    world.configure(env='{ GREETING = "hello" }')
    deployed(edge)
    edge.configure()
    deployed(edge, "0.2.0")
    load = edge.load()
    with load.going_on():
        back = world.invoke("rollback", "--to", "0.1.0", "--yes")
    assert back.status == 0, back.err
    assert "it ran without a proxy, and today's place is behind a proxy (haproxy)" in back.err
    assert "env.GREETING: + hello" in back.err
    assert load.failed == []
    assert world.engine.state(world.container).ports == {}  # type: ignore[union-attr]
    assert_as_before(edge)
