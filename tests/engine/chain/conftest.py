"""What the chain's tests leave in the engine is taken away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from release.process import Command, output_of, run
from tests.engine.service import Service, make_service

Make = Callable[..., Service]


@pytest.fixture
def make(tmp_path: Path, engine: Engine) -> Iterator[Make]:
    """Make services below this test's folder; their images and containers go in the end."""
    made: list[Service] = []

    def one(**options: Any) -> Service:
        made.append(make_service(tmp_path / f"service-{len(made)}", **options))
        return made[-1]

    yield one
    for service in made:
        for container in engine.containers({"release.service": service.name}):
            engine.remove(container.id)
        _remove_images(service)


def _remove_images(service: Service) -> None:
    """Every image that was built for the service, by its title."""
    label = f"label=org.opencontainers.image.title={service.name}"
    names = output_of(["docker", "images", "--filter", label, "--format", "{{.Repository}}:{{.Tag}}"]).split()
    if names:
        run(Command(argv=("docker", "rmi", "--force", *names)), check=False)
