"""Facts of an existing Dockerfile: stages, ports, command, health check."""

from __future__ import annotations

import re
from typing import Final

from release.chain.building.dockerfile import DockerStage, parse_stages
from release.init.folder import RepositoryFolder
from release.values import Struct

_RELEASED: Final = ("runtime", "production", "prod", "release", "final", "app", "web")
_TESTS: Final = ("test", "tests", "testing")
_EXPOSE: Final = re.compile(r"^\s*EXPOSE\s+(\d{1,5})(?:/tcp)?\b", re.IGNORECASE | re.MULTILINE)
_BOUND: Final = re.compile(r"(?:--port[= \",]+|--bind[= \",]+\S*?:|-b[ \",]+\S*?:|0\.0\.0\.0:)(\d{2,5})")
_URL: Final = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::\d+)?(/[\w./-]*)")


class ExistingDockerfile(Struct, frozen=True, kw_only=True):
    """Facts of a Dockerfile."""

    path: str
    text: str
    stages: tuple[DockerStage, ...]
    target: str | None
    """Stage of the released image; None means the last stage."""
    tests: str | None
    """Stage of the tests, based on the released stage."""
    port: int | None
    health_path: str | None


def find_dockerfile(folder: RepositoryFolder) -> ExistingDockerfile | None:
    """Return the facts of the Dockerfile; None if there is none."""
    path = folder.first_existing(
        "Dockerfile", "docker/Dockerfile", "deploy/Dockerfile", "build/Dockerfile", "Containerfile"
    )
    return parse_dockerfile(path, folder.read_text(path)) if path is not None else None


def parse_dockerfile(path: str, text: str) -> ExistingDockerfile:
    """Return the facts of a Dockerfile's text."""
    stages = parse_stages(text)
    target = _find_released_stage(stages)
    tests = next((each.name for each in stages if each.name in _TESTS and each.base == target), None)
    port = _EXPOSE.search(text) or _BOUND.search(text)
    checks = [line for line in text.splitlines() if "HEALTHCHECK" in line.upper() or "urlopen" in line]
    health = _URL.search("\n".join(checks)) or _URL.search(text)
    return ExistingDockerfile(
        path=path,
        text=text,
        stages=stages,
        target=target,
        tests=tests,
        port=int(port[1]) if port and 0 < int(port[1]) < 65536 else None,
        health_path=health[1] if health else None,
    )


def _find_released_stage(stages: tuple[DockerStage, ...]) -> str | None:
    """Return the released stage: by its usual name, or as the base of the tests' stage."""
    names = [each.name for each in stages]
    usual = next((name for name in _RELEASED if name in names), None)
    if usual is not None:
        return usual
    below = [each.base for each in stages if each.name in _TESTS and each.base in names]
    return below[0] if below else None
