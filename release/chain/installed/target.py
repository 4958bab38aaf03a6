"""The Python and the platform of an image, as environment markers see them (PEP 508)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from release.chain.installed.choosing import InstallOptions
from release.chain.lockgate.declared import to_specifier_set
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


class LockfileNotEvaluated(Exception):
    """Raised if the lockfile cannot be evaluated for the image. The text is the reason."""


class PythonTarget(Struct, frozen=True, kw_only=True):
    """A Python on a platform."""

    python: str
    """Short version, as "3.13"."""
    exact_version: str | None
    """Exact version, as "3.13.2"; None if no file of the image shows it."""
    platform: str
    """OCI platform, as "linux/amd64"."""
    is_pypy: bool = False

    def evaluate_marker(self, marker: str, choice: InstallOptions | None = None) -> bool:
        """Return whether a marker holds; an empty marker holds. Raises LockfileNotEvaluated."""
        if not marker:
            return True
        try:
            return self._evaluate_for_all_versions(Marker(marker), choice)
        except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
            raise LockfileNotEvaluated(f"the marker {marker!r} cannot be evaluated: {error}") from error

    def _evaluate_for_all_versions(self, marker: Marker, choice: InstallOptions | None) -> bool:
        if _OF_THE_MACHINE.search(str(marker)):
            raise LockfileNotEvaluated(f"the marker {marker} asks for the kernel that the image will run on")
        answers = {
            self._evaluate_for_version(marker, version, choice) for version in self._possible_versions()
        }
        if len(answers) > 1:
            raise LockfileNotEvaluated(
                f"the marker {marker} asks for more of Python's version than {self.python}"
            )
        return answers.pop()

    def _possible_versions(self) -> tuple[str, ...]:
        return (
            (self.exact_version,)
            if self.exact_version is not None
            else (f"{self.python}.0", f"{self.python}.99")
        )

    def _evaluate_for_version(self, marker: Marker, version: str, choice: InstallOptions | None) -> bool:
        extras = sorted(choice.extras) if choice is not None else []
        groups = sorted(choice.groups or ()) if choice is not None else []
        environment = self._marker_environment(version)
        if re.search(r"\b(?:extras|dependency_groups)\b", str(marker)):
            sets: Mapping[str, str | frozenset[str]] = {
                **environment,
                "extras": frozenset(extras),
                "dependency_groups": frozenset(groups),
            }
            return marker.evaluate(sets, context="lock_file")
        return any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))

    def _marker_environment(self, version: str) -> dict[str, str]:
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

    def satisfies_bound(self, bound: str) -> bool:
        """Return whether the Python satisfies a bound of PEP 440 or of Poetry, as ">=3.9,<4.0"."""
        try:
            found = SpecifierSet(bound)
        except InvalidSpecifier:
            found = to_specifier_set(bound) or SpecifierSet()
        return any(found.contains(version) for version in self._possible_versions())
