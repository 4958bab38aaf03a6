"""Differences between what is installed and what is locked: missing, extra and different packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from release.chain.installed.contents import Contents, Package, environment_of
from release.chain.installed.origins import Origin
from release.chain.installed.target import NotEvaluated, Target
from release.chain.installed.wanted import ANY, Wanted
from release.values import Struct, replace

Part = Literal["locked", "different", "extra", "base", "bundled", "local"]
"""Standing of an installed package.

`base`: the base image brought it, and it is not locked. `bundled`: the interpreter gives it to each new
environment. `local`: the service's own code, or a folder of the build.
"""

UNKNOWN: Final = Origin(is_base=False)


class Difference(Struct, frozen=True, kw_only=True):
    """One package that differs from the lockfile."""

    name: str
    text: str
    """Sentence, as "six 1.16.0 is installed, and 1.17.0 is locked (Dockerfile line 7)"."""
    kind: Literal["missing", "different", "extra"]
    waiver: str | None = None
    """Reason why the package may differ."""


class Listed(Struct, frozen=True, kw_only=True):
    """An installed package, with its relation to the lockfile."""

    package: Package
    origin: Origin
    part: Part


class Compared(Struct, frozen=True, kw_only=True):
    """Result of a comparison."""

    listed: tuple[Listed, ...]
    """Every package of the image, also in environments that are not compared."""
    differences: tuple[Difference, ...]
    """All differences, waived ones included."""

    @property
    def open(self) -> tuple[Difference, ...]:
        """Return the differences without a waiver."""
        return tuple(each for each in self.differences if each.waiver is None)

    @property
    def waivers(self) -> dict[str, str]:
        """Return the reasons of the waived differences, by package name."""
        return {each.name: each.waiver for each in self.differences if each.waiver is not None}


class Comparison(Struct, frozen=True, kw_only=True):
    """An image and a lockfile that are compared, with the waivers."""

    contents: Contents
    origins: Sequence[Origin]
    folders: tuple[str, ...]
    """The folders of packages that are compared."""
    wanted: Wanted
    target: Target
    own: frozenset[str] = frozenset()
    """Names of the commit's own projects."""
    waivers: Mapping[str, str] = {}

    def compare(self) -> Compared:
        """Return the differences between image and lockfile."""
        listed = tuple(self._listed())
        found = [*self._missing(), *self._wrong(listed)]
        reasons = self._reasons(listed)
        return Compared(
            listed=listed,
            differences=tuple(_waived(each, reasons) for each in found),
        )

    def origin(self, package: Package) -> Origin:
        """Return the origin of the layer that installed a package."""
        return self.origins[package.layer] if package.layer < len(self.origins) else UNKNOWN

    def _listed(self) -> Iterator[Listed]:
        for package in sorted(self.contents.packages, key=lambda each: (each.folder, each.name)):
            yield Listed(package=package, origin=self.origin(package), part=self._part(package))

    def _part(self, package: Package) -> Part:
        versions = self.wanted.allowed.get(package.name)
        if versions is not None:
            return "locked" if any(_is(package.version, each) for each in versions) else "different"
        if package.is_folder or package.name in self.own:
            return "local"
        if self.origin(package).is_base:
            return "base"
        return "bundled" if package.is_bundled else "extra"

    def _visible(self) -> Iterator[Package]:
        """Return the packages that the compared environments see."""
        isolated = all(environment_of(folder) in self.contents.isolated for folder in self.folders)
        for package in self.contents.packages:
            is_open = environment_of(package.folder) not in self.contents.isolated
            if package.folder in self.folders or (is_open and not (isolated and self.folders)):
                yield package

    def _missing(self) -> Iterator[Difference]:
        seen = {package.name for package in self._visible()}
        for name, versions in self.wanted.required.items():
            if name not in seen and name not in self.own:
                version = " or ".join(sorted(versions - {ANY}))
                text = f"{f'{name} {version}'.strip()} is locked and not installed"
                yield Difference(name=name, kind="missing", text=text)

    def _wrong(self, listed: Iterable[Listed]) -> Iterator[Difference]:
        for each in listed:
            package = each.package
            if package.folder not in self.folders:
                continue
            found = f"{package.name} {package.version} is installed"
            if each.part == "different":
                locked = " or ".join(sorted(self.wanted.allowed[package.name] - {ANY}))
                text = f"{found}, and {locked} is locked ({self._where(each)})"
                yield Difference(name=package.name, kind="different", text=text)
            elif each.part == "extra":
                text = f"{found} and not locked ({self._where(each)})"
                yield Difference(name=package.name, kind="extra", text=text)

    def _where(self, each: Listed) -> str:
        several = len({environment_of(folder) for folder in self.folders}) > 1
        place = f"/{environment_of(each.package.folder)}, " if several else ""
        return place + described(each.origin)

    def _reasons(self, listed: Iterable[Listed]) -> dict[str, str]:
        """Return the waivers, extended to unlocked packages that a waived package needs."""
        extra = {each.package.name: each.package for each in listed if each.part == "extra"}
        reasons, waiting = dict(self.waivers), list(self.waivers)
        while waiting:
            name = waiting.pop()
            package = extra.get(name)
            for needed in _needs(package, self.target) if package is not None else ():
                if needed in extra and needed not in reasons:
                    reasons[needed] = (
                        f"{name} needs it: {reasons[name]}" if name in self.waivers else reasons[name]
                    )
                    waiting.append(needed)
        return reasons


def described(origin: Origin) -> str:
    """Return the source of a layer in words."""
    if origin.is_base:
        return "from the base image"
    if origin.line is None:
        return origin.text or "from a layer without a line"
    return f"Dockerfile line {origin.line}: {origin.text}"


def _waived(difference: Difference, reasons: Mapping[str, str]) -> Difference:
    return replace(difference, waiver=reasons.get(difference.name))


def _is(version: str, locked: str) -> bool:
    """Return whether an installed version is the locked one. The installed version may have a local label."""
    if locked in (ANY, version):
        return True
    try:
        return SpecifierSet(f"=={locked}").contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def _needs(package: Package, target: Target) -> Iterator[str]:
    """Return the packages that a package needs in the image, extras included."""
    for line in package.requires:
        try:
            requirement = Requirement(line)
            marker = str(requirement.marker) if requirement.marker is not None else ""
            if "extra" in marker or target.is_true(marker):
                yield canonicalize_name(requirement.name)
        except (InvalidRequirement, NotEvaluated):
            continue
