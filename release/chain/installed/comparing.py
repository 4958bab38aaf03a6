"""Differences between what is installed and what is locked: missing, extra and different packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from release.chain.installed.contents import ImagePackages, InstalledPackage, environment_of
from release.chain.installed.origins import LayerOrigin
from release.chain.installed.target import LockfileNotEvaluated, PythonTarget
from release.chain.installed.wanted import ANY, LockedPackages
from release.values import Struct, replace

Part = Literal["locked", "different", "extra", "base", "bundled", "local"]
"""Standing of an installed package.

`base`: the base image brought it, and it is not locked. `bundled`: the interpreter gives it to each new
environment. `local`: the service's own code, or a folder of the build.
"""

UNKNOWN: Final = LayerOrigin(is_base=False)


class PackageDifference(Struct, frozen=True, kw_only=True):
    """One package that differs from the lockfile."""

    name: str
    text: str
    """Sentence, as "six 1.16.0 is installed, and 1.17.0 is locked (Dockerfile line 7)"."""
    kind: Literal["missing", "different", "extra"]
    waiver: str | None = None
    """Reason why the package may differ."""


class ClassifiedPackage(Struct, frozen=True, kw_only=True):
    """An installed package, with its relation to the lockfile."""

    package: InstalledPackage
    origin: LayerOrigin
    part: Part


class ComparisonResult(Struct, frozen=True, kw_only=True):
    """Result of a comparison."""

    packages: tuple[ClassifiedPackage, ...]
    """Every package of the image, also in environments that are not compared."""
    differences: tuple[PackageDifference, ...]
    """All differences, waived ones included."""

    @property
    def open_differences(self) -> tuple[PackageDifference, ...]:
        """Return the differences without a waiver."""
        return tuple(each for each in self.differences if each.waiver is None)

    @property
    def waivers(self) -> dict[str, str]:
        """Return the reasons of the waived differences, by package name."""
        return {each.name: each.waiver for each in self.differences if each.waiver is not None}


class ImageComparison(Struct, frozen=True, kw_only=True):
    """An image and a lockfile that are compared, with the waivers."""

    contents: ImagePackages
    origins: Sequence[LayerOrigin]
    folders: tuple[str, ...]
    """The folders of packages that are compared."""
    wanted: LockedPackages
    target: PythonTarget
    own_names: frozenset[str] = frozenset()
    """Names of the commit's own projects."""
    waivers: Mapping[str, str] = {}

    def compare(self) -> ComparisonResult:
        """Return the differences between image and lockfile."""
        listed = tuple(self._classify_packages())
        found = [*self._find_missing_packages(), *self._find_wrong_packages(listed)]
        reasons = self._waiver_reasons(listed)
        return ComparisonResult(
            packages=listed,
            differences=tuple(_add_waiver(each, reasons) for each in found),
        )

    def origin_of(self, package: InstalledPackage) -> LayerOrigin:
        """Return the origin of the layer that installed a package."""
        return self.origins[package.layer] if package.layer < len(self.origins) else UNKNOWN

    def _classify_packages(self) -> Iterator[ClassifiedPackage]:
        for package in sorted(self.contents.packages, key=lambda each: (each.folder, each.name)):
            yield ClassifiedPackage(
                package=package, origin=self.origin_of(package), part=self._classify(package)
            )

    def _classify(self, package: InstalledPackage) -> Part:
        versions = self.wanted.allowed.get(package.name)
        if versions is not None:
            return (
                "locked"
                if any(_is_locked_version(package.version, each) for each in versions)
                else "different"
            )
        if package.is_folder or package.name in self.own_names:
            return "local"
        if self.origin_of(package).is_base:
            return "base"
        return "bundled" if package.is_bundled else "extra"

    def _visible_packages(self) -> Iterator[InstalledPackage]:
        """Return the packages that the compared environments see."""
        isolated = all(environment_of(folder) in self.contents.isolated for folder in self.folders)
        for package in self.contents.packages:
            is_open = environment_of(package.folder) not in self.contents.isolated
            if package.folder in self.folders or (is_open and not (isolated and self.folders)):
                yield package

    def _find_missing_packages(self) -> Iterator[PackageDifference]:
        seen = {package.name for package in self._visible_packages()}
        for name, versions in self.wanted.required.items():
            if name not in seen and name not in self.own_names:
                version = " or ".join(sorted(versions - {ANY}))
                text = f"{f'{name} {version}'.strip()} is locked and not installed"
                yield PackageDifference(name=name, kind="missing", text=text)

    def _find_wrong_packages(self, listed: Iterable[ClassifiedPackage]) -> Iterator[PackageDifference]:
        for each in listed:
            package = each.package
            if package.folder not in self.folders:
                continue
            found = f"{package.name} {package.version} is installed"
            if each.part == "different":
                locked = " or ".join(sorted(self.wanted.allowed[package.name] - {ANY}))
                text = f"{found}, and {locked} is locked ({self._describe_location(each)})"
                yield PackageDifference(name=package.name, kind="different", text=text)
            elif each.part == "extra":
                text = f"{found} and not locked ({self._describe_location(each)})"
                yield PackageDifference(name=package.name, kind="extra", text=text)

    def _describe_location(self, each: ClassifiedPackage) -> str:
        several = len({environment_of(folder) for folder in self.folders}) > 1
        place = f"/{environment_of(each.package.folder)}, " if several else ""
        return place + describe_origin(each.origin)

    def _waiver_reasons(self, listed: Iterable[ClassifiedPackage]) -> dict[str, str]:
        """Return the waivers, extended to unlocked packages that a waived package needs."""
        extra = {each.package.name: each.package for each in listed if each.part == "extra"}
        reasons, waiting = dict(self.waivers), list(self.waivers)
        while waiting:
            name = waiting.pop()
            package = extra.get(name)
            for needed in _needed_packages(package, self.target) if package is not None else ():
                if needed in extra and needed not in reasons:
                    reasons[needed] = (
                        f"{name} needs it: {reasons[name]}" if name in self.waivers else reasons[name]
                    )
                    waiting.append(needed)
        return reasons


def describe_origin(origin: LayerOrigin) -> str:
    """Return the source of a layer in words."""
    if origin.is_base:
        return "from the base image"
    if origin.line is None:
        return origin.text or "from a layer without a line"
    return f"Dockerfile line {origin.line}: {origin.text}"


def _add_waiver(difference: PackageDifference, reasons: Mapping[str, str]) -> PackageDifference:
    return replace(difference, waiver=reasons.get(difference.name))


def _is_locked_version(version: str, locked: str) -> bool:
    """Return whether an installed version is the locked one. The installed version may have a local label."""
    if locked in (ANY, version):
        return True
    try:
        return SpecifierSet(f"=={locked}").contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _needed_packages(package: InstalledPackage, target: PythonTarget) -> Iterator[str]:
    """Return the packages that a package needs in the image, extras included."""
    for line in package.requirements:
        try:
            requirement = Requirement(line)
            marker = str(requirement.marker) if requirement.marker is not None else ""
            if "extra" in marker or target.evaluate_marker(marker):
                yield canonicalize_name(requirement.name)
        except (InvalidRequirement, LockfileNotEvaluated):
            continue
