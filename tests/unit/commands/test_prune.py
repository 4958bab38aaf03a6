"""What follows a deployment that is done can only warn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.commands import prune
from release.errors import EngineError
from release.events import Event, Warned


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (EngineError("list the images", "busy"), "no image was removed: cannot list the images: busy"),
        (KeyError("Size"), "no image was removed: KeyError: 'Size'"),
    ],
)
def test_pruning_after_a_deployment_only_warns(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the pruning itself has a defect."""

    def failing(*_: object) -> None:
        raise error

    said: list[Event] = []
    monkeypatch.setattr(prune, "stores_to_prune", failing)
    prune.prune_after_deployment(
        cast(Any, SimpleNamespace(workspace=SimpleNamespace(emit=said.append))), answers=True
    )
    assert said == [Warned(text=told)]
