"""Targets are opened by their kind, each from the folder of its own."""

from __future__ import annotations

from contextlib import ExitStack
from importlib import import_module
from typing import get_args

import pytest

from release.config import Environment
from release.deploy import targets
from release.deploy.core.place import Place
from release.deploy.targets.engine.target import SingleEngine
from release.images.engine import Engine
from tests.unit.deploy.fakes import FakeEngine

PLACE = Place(service="api", environment="production")


@pytest.mark.parametrize("kind", get_args(Environment.model_fields["engine"].annotation))
def test_every_kind_of_the_configuration_has_a_folder(kind: str) -> None:
    """With a module that opens it."""
    folder = Environment.model_validate({"engine": kind}).target_folder
    module = import_module(f"release.deploy.targets.{folder}.opening")
    assert callable(module.open_target)


def test_the_target_is_of_the_kind_that_the_settings_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its engine is closed with the stack."""
    engine = FakeEngine()
    closed = list[str]()
    monkeypatch.setattr(FakeEngine, "close", lambda _: closed.append("engine"))
    monkeypatch.setattr(Engine, "connect", lambda **_: engine)
    with ExitStack() as stack:
        target = targets.open_target(PLACE, Environment(), {"": 8000}, stack, lambda _: None)
        assert isinstance(target, SingleEngine)
        assert target.engine is engine
        assert target.front_of("") is None
    assert closed == ["engine"]
