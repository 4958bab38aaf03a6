"""The Python and the platform of an image, as environment markers see them (PEP 508)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from release.chain.installed.choosing import Choice
from release.chain.lockgate.declared import specifier
from release.values import Struct

_MACHINES: Final = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "386": "i686",
    "arm": "armv7l",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
"""Machine names: of Go and OCI, and of the kernel."""

_OF_THE_MACHINE: Final = re.compile(r"\bplatform_(?:release|version)\b")


class NotEvaluated(Exception):
    """Raised if the lockfile cannot be evaluated for the image. The text is the reason."""


class Target(Struct, frozen=True, kw_only=True):
    """A Python on a platform."""

    python: str
    """Short version, as "3.13"."""
    exact: str | None
    """Exact version, as "3.13.2"; None if no file of the image shows it."""
    platform: str
    """OCI platform, as "linux/amd64"."""
    is_pypy: bool = False

    def is_true(self, marker: str, choice: Choice | None = None) -> bool:
        """Return whether a marker holds; an empty marker holds. Raises NotEvaluated."""
        if not marker:
            return True
        try:
            return self._is_true(Marker(marker), choice)
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
            raise NotEvaluated(f"the marker {marker!r} cannot be evaluated: {error}") from error

    def _is_true(self, marker: Marker, choice: Choice | None) -> bool:
        if _OF_THE_MACHINE.search(str(marker)):
            raise NotEvaluated(f"the marker {marker} asks for the kernel that the image will run on")
        answers = {self._holds(marker, version, choice) for version in self._versions()}
        if len(answers) > 1:
            raise NotEvaluated(f"the marker {marker} asks for more of Python's version than {self.python}")
        return answers.pop()

    def _versions(self) -> tuple[str, ...]:
        return (self.exact,) if self.exact is not None else (f"{self.python}.0", f"{self.python}.99")

    def _holds(self, marker: Marker, version: str, choice: Choice | None) -> bool:
        extras = sorted(choice.extras) if choice is not None else []
        groups = sorted(choice.groups or ()) if choice is not None else []
        environment = self._environment(version)
        if re.search(r"\b(?:extras|dependency_groups)\b", str(marker)):
            sets: Mapping[str, str | frozenset[str]] = {
                **environment,
                "extras": frozenset(extras),
                "dependency_groups": frozenset(groups),
            }
            return marker.evaluate(sets, context="lock_file")
        return any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))

    def _environment(self, version: str) -> dict[str, str]:
        architecture = self.platform.split("/")[1]
        name = "pypy" if self.is_pypy else "cpython"
        return {
            "implementation_name": name,
            "implementation_version": version,
            "os_name": "posix",
            "platform_machine": _MACHINES.get(architecture, architecture),
            "platform_python_implementation": "PyPy" if self.is_pypy else "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": version,
            "python_version": self.python,
            "sys_platform": "linux",
        }

    def is_allowed(self, bound: str) -> bool:
        """Return whether the Python satisfies a bound of PEP 440 or of Poetry, as ">=3.9,<4.0"."""
        try:
            found = SpecifierSet(bound)
        except InvalidSpecifier:
            found = specifier(bound) or SpecifierSet()
        return any(found.contains(version) for version in self._versions())
