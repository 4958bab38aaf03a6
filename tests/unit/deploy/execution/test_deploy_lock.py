"""What happens between a plan and the rollout: the lock, and an image that turns out to be incomplete."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.deploy.core.image_location import ImageLocation
from release.deploy.core.lock import Holder
from release.deploy.core.lock_store import EngineLockStore
from release.deploy.core.place import Place
from release.deploy.execution.locking import locked
from release.deploy.planning.lock_takeover import Takeover
from release.deploy.planning.prepare import Prepared
from release.errors import ImageLost
from release.events import Event, Warned
from release.records import Record, Release
from release.runspec import RunSpec
from tests.unit.deploy.fakes import FakeEngine, digest, release

PLACE = Place(service="api", environment="production")
LOST = ImageLost("create the container release-lock-api-production", "a layer is not there")


class Breaking(FakeEngine):
    """Makes no container until the image was fetched."""

    def heal(self, _body: Release, _spec: RunSpec, found: ImageLocation, _emit: Any) -> None:
        assert found == ImageLocation(where="registry")
        self.breaking = {}


def prepared(engine: Breaking, target: Record[Release], told: list[Event]) -> Prepared:
    target_ = SimpleNamespace(images=SimpleNamespace(fetch=engine.heal))
    live = SimpleNamespace(place=PLACE, workspace=SimpleNamespace(emit=told.append), target=target_)
    found, request = SimpleNamespace(takeover=Takeover()), SimpleNamespace(reason="promote")
    return cast(
        Prepared, SimpleNamespace(live=live, target=target, spec=RunSpec(), found=found, request=request)
    )


def locked_with(repository: str) -> list[Event]:
    engine, told, target = Breaking(breaking={f"create {PLACE.lock}": LOST}), list[Event](), release()
    image = target.body.image.model_copy(update={"repository": repository})
    target = Record(envelope=target.envelope, body=target.body.model_copy(update={"image": image}))
    lock_store = EngineLockStore(engine=engine, image=digest("image"))
    holder = Holder.here(who="Ada", url=None, deployment="0" * 12, milliseconds=60_000)
    with locked(prepared(engine, target, told), lock_store, holder):
        assert list(engine.names()) == [PLACE.lock]
    assert engine.names() == {}
    return told


def test_an_image_that_lost_a_layer_is_pulled_again_before_anything_is_touched() -> None:
    """The lock is the first container that is made of it; that it was pulled is told."""
    (told,) = locked_with("registry.example/api")
    assert isinstance(told, Warned)
    assert "using the registry instead" in told.text


def test_without_a_registry_an_image_that_lost_a_layer_is_the_engines_error() -> None:
    """There is nobody to ask."""
    with pytest.raises(ImageLost):
        locked_with("localhost/api")
