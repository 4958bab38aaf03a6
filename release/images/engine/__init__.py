"""Client of a Docker Engine: image store, containers, networks and volumes.

`docker` is imported in this folder, and in a few modules beside it. Source: Docker Engine API 1.45.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from docker.errors import NotFound

from release.images.container_spec import ContainerSpec
from release.images.engine.containers import Containers
from release.images.engine.foreign import Foreign
from release.images.engine.images import Images
from release.images.engine.logs import Logs
from release.images.engine.pending_stop import PendingStops
from release.images.values import ContainerState, EngineInfo, Executed, StoredImage, read_labels

__all__ = [
    "ContainerSpec",
    "ContainerState",
    "Engine",
    "EngineInfo",
    "Executed",
    "StoredImage",
]


class Engine(Images, Containers, Logs, PendingStops, Foreign):
    """A connected Docker Engine with its images, containers, logs, networks and volumes."""

    def has_network(self, name: str) -> bool:
        """Return whether the engine has a network of that name."""
        with self._asking(f"look for the network {name}"), suppress(NotFound):
            return bool(self._client.inspect_network(name)["Name"] == name)
        return False

    def create_network(self, name: str, labels: Mapping[str, str], *, private: bool = False) -> None:
        """Create a bridge network with these labels. Raise EngineError.

        A private network reaches neither other networks nor the engine's machine: its bridge has no address.
        """
        options = {"com.docker.network.bridge.inhibit_ipv4": "true"} if private else None
        with self._asking(f"create the network {name}"):
            self._client.create_network(
                name, driver="bridge", labels=dict(labels), internal=private, options=options
            )

    def labelled_networks(self, labels: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return the labels of each network that has the given labels, by the network's name."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with self._asking(f"list the networks labelled {', '.join(wanted)}"):
            listed = self._client.networks(filters={"label": wanted})
            return {str(network["Name"]): read_labels(network) for network in listed}

    def remove_network(self, name: str) -> None:
        """Remove a network; a missing network is no error. Raise EngineError if a container is connected."""
        with self._asking(f"remove the network {name}"), suppress(NotFound):
            self._client.remove_network(name)

    def has_volume(self, name: str) -> bool:
        """Return whether the engine has a volume of that name."""
        with self._asking(f"look for the volume {name}"), suppress(NotFound):
            return bool(self._client.inspect_volume(name)["Name"] == name)
        return False
