"""What is read back from a registry, counted at a proxy in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import lab
from tests.engine.chain.conftest import Make, make  # noqa: F401 - a fixture
from tests.engine.chain.test_release import released
from tests.engine.faults.proxy import ALWAYS, Fault, FaultProxy, Header, fault_proxy
from tests.engine.service import APP


@pytest.fixture
def proxy(running_registry: lab.RunningRegistry) -> Iterator[FaultProxy]:
    """In front of a registry of this worker."""
    with fault_proxy(running_registry.host) as made:
        yield made


def blobs_read(proxy: FaultProxy) -> int:
    """How many blobs were fetched since the last count."""
    found = sum(line.startswith("GET ") and "/blobs/sha256" in line for line in proxy.requests)
    proxy.requests.clear()
    return found


def test_layers_of_the_release_before_are_asked_for(
    make: Make,  # noqa: F811
    proxy: FaultProxy,
    bare_remote: Path,
) -> None:
    """With read_back = "new": what is new and the config are read; a layer of another size is read too."""
    service = make(remote=bare_remote, registry=f"{proxy.host}/{lab.unique()}", push={"read_back": "new"})
    released(service.nox("release"))
    (first,) = service.records()
    layers = len(first["image"]["layers"])
    assert blobs_read(proxy) == 1 + layers
    service.commit("feat: more", {"app.py": f"{APP}# more\n"})
    second = service.nox("release")
    assert released(second)["version"] == "0.2.0"
    shared = {layer["digest"] for layer in first["image"]["layers"]}
    new = [layer for layer in service.records()[1]["image"]["layers"] if layer["digest"] not in shared]
    assert 0 < len(new) < layers
    assert blobs_read(proxy) == 1 + len(new)
    assert f"{layers} layers" in second.err
    assert f"{len(new)} of them read back" in second.err

    proxy.arm(
        Fault(method="HEAD", path="/blobs/", action=Header(name="Content-Length", value="1"), times=ALWAYS)
    )
    service.commit("feat: still more", {"app.py": f"{APP}# still more\n"})
    assert released(service.nox("release"))["version"] == "0.3.0"
    assert blobs_read(proxy) == 1 + layers
