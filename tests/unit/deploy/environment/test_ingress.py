"""A rollback restores settings; where requests come in is today's."""

from __future__ import annotations

from typing import Any

import pytest

from release.config import Environment
from release.deploy.environment.ingress import moved, placed
from release.runspec import RunSpec

RECORDED: dict[str, Any] = {"publish": ["8080:8000"], "networks": ["backend"], "env": {"A": "1"}}


def environment(**settings: Any) -> Environment:
    return Environment.model_validate(settings)


def proxied(kind: str = "dns", **settings: Any) -> Environment:
    told = {"container": "lb", "admin": "/run/a", "backend": "b"} if kind == "haproxy" else {}
    return environment(proxy={"kind": kind, "network": "edge", **told}, **settings)


def test_recorded_settings_of_the_same_place_are_taken_as_they_are() -> None:
    """Published ports too: another port since then is a setting."""
    spec = RunSpec.model_validate(RECORDED)
    today = environment(publish=["9090:8000"])
    assert placed(spec, today) == spec
    assert moved(spec, today) == ""


def test_a_release_that_had_a_port_goes_behind_todays_proxy() -> None:
    """On the proxy's network first, with no port of the machine, and as many as today."""
    spec = RunSpec.model_validate(RECORDED)
    found = placed(spec, proxied("haproxy", replicas=3))
    assert (found.proxy, found.networks, found.publish) == ("haproxy", ("edge", "backend"), ())
    assert (found.replicas, found.env) == (3, {"A": "1"})
    assert "it ran without a proxy, and today's place is behind a proxy (haproxy)" in moved(
        spec, proxied("haproxy")
    )


def test_a_release_that_sat_behind_a_proxy_gets_todays_port() -> None:
    """And the networks of today: the proxy's may be gone."""
    spec = RunSpec(proxy="caddy", networks=("old-edge", "backend"), replicas=3)
    found = placed(spec, environment(publish=["8080:8000"], networks=["backend"]))
    assert (found.proxy, found.replicas, found.networks) == (None, 1, ("backend",))
    assert [str(port) for port in found.publish] == ["0.0.0.0:8080:8000"]


@pytest.mark.parametrize(("kind", "replicas"), [("haproxy", 3), ("dns", 1)])
def test_replicas_are_a_setting_that_comes_back_where_the_proxy_can_have_them(
    kind: str, replicas: int
) -> None:
    """Another proxy's network takes the place of the one that was first."""
    spec = RunSpec(proxy="caddy", networks=("old-edge", "backend"), replicas=3)
    found = placed(spec, proxied(kind))
    assert (found.replicas, found.networks, found.proxy) == (replicas, ("edge", "backend"), kind)


def test_todays_settings_name_the_proxys_network_once() -> None:
    """Also where the environment names it itself."""
    found = placed(RunSpec(networks=("backend", "edge")), proxied())
    assert found.networks == ("edge", "backend")
