"""Containers that another program made: their images' settings, and a restart policy that lets them rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from docker.errors import NotFound

from release.images.engine.connection import Connection
from release.reference import Digest


class Foreign(Connection):
    """Requests about containers that no deployment made."""

    def running(self) -> Sequence[Mapping[str, Any]]:
        """Return the engine's facts of all running containers (ContainerInspect), secrets too."""
        with self._asking("list the containers that run"):
            found = list[Mapping[str, Any]]()
            for item in self._client.containers():
                with suppress(NotFound):
                    found.append(self._client.inspect_container(item["Id"]))
            return found

    def image_settings(self, image: Digest) -> Mapping[str, Any]:
        """Return the settings that an image gives its containers (ImageInspect, `Config`)."""
        with self._asking(f"inspect the image {image.short}"):
            about = self._client.inspect_image(image.text)  # type: ignore[no-untyped-call]
            return cast("Mapping[str, Any]", about.get("Config") or {})

    def let_rest(self, container: str) -> None:
        """Change the restart policy "always" to "unless-stopped": a stopped container stays stopped."""
        with self._asking(f"change the restart policy of the container {container[:12]}"):
            about = self._client.inspect_container(container)
            if (about["HostConfig"].get("RestartPolicy") or {}).get("Name") == "always":
                policy: Any = {"Name": "unless-stopped"}
                self._client.update_container(container, restart_policy=policy)
