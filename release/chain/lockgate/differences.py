"""Differences between a lockfile and its project, for tools that compare a hash only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from release.chain.lockgate.declared import DeclaredRequirement, to_specifier_set
from release.values import Struct

_MINORS: Final = range(40)

Declares = Callable[[Mapping[str, Any]], Iterable[DeclaredRequirement]]
"""Return the requirements in a project's file."""


class LockContent(Struct, frozen=True, kw_only=True):
    """Content of a lockfile, for the comparison."""

    versions: Mapping[str, tuple[str, ...]]
    """Versions by normalised name."""
    needs: Mapping[str, tuple[str, ...]]
    """Needed names by package, or by package with extra, as "alpha[more]"."""
    direct_names: frozenset[str] | None = None
    """Packages that the lockfile marks as declared; None if the format has no such mark."""
    groups: frozenset[str] | None = None
    """Locked extras and groups; None if the lockfile always holds all."""
    with_extras: bool = True
    """True: `needs` contains the packages that extras need."""
    python: str = ""
    """Python bound that the lockfile was made for."""

    def has_extras_and_group(self, each: DeclaredRequirement) -> bool:
        """Return whether the lockfile contains the extra or group of a requirement."""
        return self.groups is None or not each.group or each.group.partition(" ")[2] in self.groups

    @property
    def packages(self) -> dict[str, str]:
        """Return versions by name; several versions are joined with ", "."""
        return {name: ", ".join(versions) for name, versions in sorted(self.versions.items())}


def find_unmet_requirements(declared: Iterable[DeclaredRequirement], locked: LockContent) -> Iterator[str]:
    """Return requirements that the lockfile does not meet."""
    for each in declared:
        versions = locked.versions.get(each.name)
        if versions is None:
            if not each.is_conditional:
                yield f"{each} is declared, and {each.name} is not locked"
            continue
        wanted = each.specifier
        if wanted is not None and not any(wanted.contains(version, prereleases=True) for version in versions):
            yield f"{each} is declared, and {each.name} {', '.join(versions)} is locked"
        yield from _find_missing_extras(each, locked)


def _find_missing_extras(each: DeclaredRequirement, locked: LockContent) -> Iterator[str]:
    if not locked.with_extras:
        return
    for extra in sorted(each.extras):
        needs = locked.needs.get(f"{each.name}[{extra}]")
        if needs is None:
            yield f"{each} is declared, and {each.name} is locked without the extra {extra}"
        elif needs and not any(_name_of_node(node) in locked.versions for node in needs):
            yield f"{each} is declared, and {', '.join(needs)}, which the extra needs, is not locked"


def describe_lock_differences(
    declared: Iterable[DeclaredRequirement], locked: LockContent, python: str
) -> list[str]:
    """Return the differences as phrases; empty if the locked packages satisfy the declared ones."""
    wanted = [each for each in declared if locked.has_extras_and_group(each)]
    found = [*_describe_python_difference(python, locked.python), *find_unmet_requirements(wanted, locked)]
    found += [
        f"{name} {', '.join(locked.versions[name])} is locked, and nothing that is declared needs it"
        for name in sorted(_find_unneeded_packages(wanted, locked))
    ]
    return found


def _describe_python_difference(declared: str, locked: str) -> Iterator[str]:
    if locked and _allowed_minor_versions(declared) != _allowed_minor_versions(locked):
        yield f"Python {declared or 'of any version'} is declared, and Python {locked} is locked"


def _allowed_minor_versions(bound: str) -> list[int] | str:
    wanted = to_specifier_set(bound)
    return [minor for minor in _MINORS if wanted.contains(f"3.{minor}.99")] if wanted is not None else bound


def _find_unneeded_packages(declared: Iterable[DeclaredRequirement], locked: LockContent) -> set[str]:
    if locked.direct_names is not None:
        return set(locked.direct_names) - {each.name for each in declared}
    reached: set[str] = set()
    waiting = [node for each in declared for node in package_nodes(each.name, each.extras)]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += locked.needs.get(node, ())
    return set(locked.versions) - set(map(_name_of_node, reached))


def package_nodes(name: str, extras: Iterable[str]) -> list[str]:
    """Return a package and its extras, named as in `Locked.needs`."""
    return [name, *(f"{name}[{extra}]" for extra in extras)]


def _name_of_node(node: str) -> str:
    return node.partition("[")[0]


def describe_declaration_changes(
    before: Iterable[DeclaredRequirement], after: Iterable[DeclaredRequirement], lockfile: str
) -> list[str]:
    """Return how the declarations changed since the commit of the lockfile, as phrases."""
    old, new = (
        {(each.name, each.group): each for each in before},
        {(each.name, each.group): each for each in after},
    )
    found = [
        f"{new[key]} is declared, and {lockfile} was made for {old[key]}"
        if key in old
        else f"{new[key]} was added"
        for key in new
        if new[key] != old.get(key)
    ]
    return found + [f"{old[key]} was removed" for key in old if key not in new]
