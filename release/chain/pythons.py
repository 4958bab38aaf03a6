"""The Python version of a service, and a matching interpreter on this machine. Nothing is downloaded."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from string import Template
from typing import Any, Final

from release.chain.tools import find_uv
from release.config import Service
from release.errors import ReleaseError
from release.parsing import tomltext
from release.programs.environment import PACKAGES
from release.programs.process import Command, run

Read = Callable[[str], bytes | None]
"""Return the content of a committed file by its path below `context`; None if there is no such file."""

NO_DOWNLOADS: Final = {"UV_PYTHON_DOWNLOADS": "never"}
"""Variable for uv: look for interpreters, download none."""

HERE: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
"""Version of the running Python."""

_ARG = re.compile(r"\s*ARG\s+(?P<name>\w+)(?:=(?P<value>\S+))?\s*", re.IGNORECASE)
_FROM = re.compile(r"\s*FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*", re.IGNORECASE)
_IMAGE = re.compile(r"(?:^|/)[\w.-]*python[\w.-]*:v?(3\.\d+)|python-?(3\.\d+)")
_VERSION_FILE = re.compile(r"(?:cpython-|python)?(3\.\d+)", re.IGNORECASE)


def python_of_base_image(dockerfile: str, target: str | None, args: Mapping[str, str]) -> str | None:
    """Return the Python version in the name of a stage's base image, as "3.13" of `python:3.13-slim`.

    Args:
        dockerfile: the text of the Dockerfile.
        target: the stage; None: the last one.
        args: build arguments, which win over the defaults of ARG before the first FROM.
    """
    values: dict[str, str] = {}
    stages: dict[str, str] = {}
    last = ""
    for line in dockerfile.removeprefix("\ufeff").splitlines():
        if not stages and (match := _ARG.fullmatch(line)):
            values[match["name"]] = args.get(match["name"], match["value"] or "").strip("\"'")
        elif match := _FROM.fullmatch(line):
            last = (match["stage"] or f" {len(stages)}").lower()
            stages[last] = Template(match["image"].replace(":-", "-")).safe_substitute(values)
    image = stages.get((target or last).lower(), "")
    while (below := stages.pop(image.lower(), None)) is not None:
        image = below
    found = _IMAGE.search(image.partition("@")[0])
    return (found[1] or found[2]) if found is not None else None


def python_of_released_image(service: Service, read: Read) -> str | None:
    """Return the Python version of the released image, if the Dockerfile names a version."""
    content = read(service.build.dockerfile)
    if content is None:
        return None
    return python_of_base_image(content.decode("utf-8", "replace"), service.build.target, service.build.args)


def python_of_service(service: Service, read: Read) -> str | None:
    """Return the service's Python version: from `lock.python`, image, `.python-version` or metadata."""
    if service.lock.python is not None:
        return service.lock.python
    return (
        python_of_released_image(service, read)
        or _read_python_version_file(read)
        or _lowest_allowed_python(read_requires_python(read))
    )


def _read_python_version_file(read: Read) -> str | None:
    lines = (read(".python-version") or b"").decode("utf-8-sig", "replace").split()
    match = _VERSION_FILE.match(lines[0]) if lines else None
    return match[1] if match is not None else None


def read_requires_python(read: Read, folder: str = ".") -> str | None:
    """Return `requires-python` of the project in a folder below `context`; None without the key."""
    content = read((PurePosixPath(folder) / "pyproject.toml").as_posix())
    try:
        document: Any = tomltext.read(content or b"")
        value = document["project"]["requires-python"]
    except (ValueError, LookupError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _lowest_allowed_python(specifier: str | None) -> str | None:
    """Return the lowest Python that a specifier allows, unless the running one is allowed."""
    if specifier is None or is_python_allowed(HERE, specifier):
        return None
    return next((f"3.{minor}" for minor in range(30) if is_python_allowed(f"3.{minor}", specifier)), None)


def is_python_allowed(version: str, specifier: str) -> bool:
    """Return whether a version, as "3.13", satisfies a specifier, as ">=3.12,<4"."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier:
        return True
    return wanted.contains(f"{version}.99") or wanted.contains(version)


def find_python(request: str, folder: Path | None = None) -> Path | None:
    """Return an interpreter on this machine for a version or specifier; None if there is none."""
    if request == HERE:
        return Path(sys.executable)
    argv = (find_uv(), "python", "find", "--no-project", "--no-python-downloads", request)
    try:
        done = run(Command(argv=argv, cwd=folder, env=NO_DOWNLOADS, inherits=PACKAGES), check=False)
    except ReleaseError:
        return None
    paths = (Path(line.strip()) for line in done.output.splitlines() if line.startswith("/"))
    return next((path for path in paths if path.exists()), None) if done.status == 0 else None
