"""Groups of services: named once, with problems at the keys where they are."""

from __future__ import annotations

from typing import Any

import pytest

from release.config import parse
from release.errors import ConfigError, UsageError

SERVICES: dict[str, Any] = {"api": {"context": "services/api"}, "web": {"context": "services/web"}}


def document(groups: object, services: object = SERVICES) -> dict[str, Any]:
    table = {"smoke": {"port": 8000}, "services": services, "groups": groups}
    return {"tool": {"release": table}}


def test_a_group_keeps_the_order_of_its_services() -> None:
    """It is the order of replacement."""
    configured = parse(document({"shop": {"services": ["web", "api"]}}))
    assert configured.group("shop") == ("web", "api")
    with pytest.raises(UsageError, match="there is no group 'shp'"):
        configured.group("shp")


@pytest.mark.parametrize(
    ("groups", "path", "message"),
    [
        ({"shop": {"services": ["api", "worker"]}}, "groups.shop.services", "there is no service worker"),
        ({"shop": {"services": ["api", "api"]}}, "groups.shop", "api is named more than once: keep one"),
        ({"shop": {"services": []}}, "groups.shop.services", "write a list of names"),
        ({"shop": {"services": "api"}}, "groups.shop.services", "write a list of names"),
        ({"shop": {}}, "groups.shop.services", "this key is required"),
        ({"shop": {"services": ["api"], "order": 1}}, "groups.shop.order", "unknown key"),
        (["api"], "groups", "write one table for each group"),
    ],
)
def test_a_wrong_group_is_told_at_its_key(groups: object, path: str, message: str) -> None:
    """With what to write instead."""
    with pytest.raises(ConfigError) as refused:
        parse(document(groups))
    (problem,) = refused.value.problems
    assert problem.path == f"tool.release.{path}"
    assert message in problem.message


def test_services_of_a_group_have_one_ledger() -> None:
    """Their events are recorded in one append."""
    services = SERVICES | {"web": {"ledger": {"branch": "other"}}}
    with pytest.raises(ConfigError, match="needs one ledger"):
        parse(document({"shop": {"services": ["api", "web"]}}, services))


def test_one_service_has_no_groups() -> None:
    """It would be a group of nothing."""
    table = {"service": "api", "smoke": {"port": 8000}, "groups": {"shop": {"services": ["api"]}}}
    with pytest.raises(ConfigError, match="a group has several services"):
        parse({"tool": {"release": table}})


@pytest.mark.parametrize(
    ("own", "paths"),
    [
        ({}, (".",)),
        ({"context": "services/api"}, ("services/api",)),
        ({"context": "services/api", "shared": ["libs/common"]}, ("services/api", "libs/common")),
        (
            {"build": {"dockerfile": "services/api/Dockerfile"}, "shared": ["libs/common"]},
            ("services/api", "libs/common"),
        ),
        ({"build": {"dockerfile": "services/api/Dockerfile"}}, (".",)),
        ({"shared": []}, (".",)),
    ],
)
def test_the_paths_of_a_service_are_its_folder_and_what_it_shares(
    own: dict[str, Any], paths: tuple[str, ...]
) -> None:
    """Where the whole repository is the build context, `shared` makes the Dockerfile's folder its own."""
    table = {"service": "api", "smoke": {"port": 8000}, **own}
    assert parse({"tool": {"release": table}}).service(None).paths == paths
