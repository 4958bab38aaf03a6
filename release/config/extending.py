"""Inheritance of settings: variables of all runs, and environments that `extend` another one.

This works on the tables as they are written, before they are parsed: what an environment inherits is judged
together with what it writes itself.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from release.values import Struct

_EXCLUDES: Final = {"context": "host", "host": "context", "publish": "proxy", "proxy": "publish"}
"""A key that an environment writes drops the inherited key that it excludes."""

_WHOLE: Final = frozenset({"secrets", "files"})
"""Tables whose entries replace an inherited entry of the same name as a whole."""

_PROXY: Final = "proxy"
"""Tables that replace the inherited table as a whole, because each kind has other keys."""

_ENVIRONMENTS: Final = "environments"
_EXTENDS: Final = "extends"
_ENV: Final = "env"

Keys = Sequence[int | str]


class KeyProblem(Struct, frozen=True, kw_only=True):
    """Problem in the written tables: the keys of the place, and a message."""

    keys: tuple[str, ...]
    message: str


def apply_inheritance(table: Mapping[str, Any]) -> tuple[dict[str, Any], list[KeyProblem]]:
    """Return the table of a service with all inherited values, and the problems of inheritance."""
    spread_out, wrong = dict(table), list[KeyProblem]()
    environments = table.get(_ENVIRONMENTS)
    if isinstance(environments, Mapping):
        wrong = [found for name in environments if (found := _unfit(environments, name)) is not None]
        unfit = {each.keys[1] for each in wrong}
        spread_out[_ENVIRONMENTS] = {
            name: own if name in unfit else _extended(environments, name)
            for name, own in environments.items()
        }
    shared = table.get(_ENV)
    if isinstance(shared, Mapping) and shared:
        for name in ("test", "smoke"):
            spread_out[name] = _with_variables(table.get(name, {}), shared)
    return spread_out, wrong


def written_at(table: Mapping[str, Any], keys: Keys) -> list[int | str]:
    """Return the keys under which the value of `keys` is written, after inheritance."""
    if has_key(table, keys):
        return list(keys)
    if keys[0] == _ENVIRONMENTS and len(keys) > 2:
        chain = chain_of(table[_ENVIRONMENTS], str(keys[1]))
        places = ([_ENVIRONMENTS, name, *keys[2:]] for name in chain)
        return next((place for place in places if has_key(table, place)), list(keys))
    if keys[0] in ("test", "smoke") and _ENV in keys:
        place = list(keys[list(keys).index(_ENV) :])
        return place if has_key(table, place) else list(keys)
    return list(keys)


def has_key(table: Any, keys: Keys) -> bool:
    """Return whether a key is written in a table."""
    for key in keys:
        try:
            table = table[key]
        except (LookupError, TypeError):
            return False
    return True


def chain_of(environments: Mapping[str, Any], name: str) -> list[str]:
    """Return an environment and the environments that it extends, nearest first; stop at a circle."""
    chain: list[str] = []
    step: Any = name
    while isinstance(step, str) and step in environments and step not in chain:
        chain.append(step)
        table = environments[step]
        step = table.get(_EXTENDS) if isinstance(table, Mapping) else None
    return chain


def _unfit(environments: Mapping[str, Any], name: str) -> KeyProblem | None:
    """Return the problem if an environment extends a missing one, or itself in a circle; else None."""
    chain = chain_of(environments, name)
    last = environments[chain[-1]]
    parent = last.get(_EXTENDS) if isinstance(last, Mapping) else None
    if not isinstance(parent, str):
        return None
    if parent in chain:
        return _circle(chain, name, parent)
    if chain[-1] != name:
        return KeyProblem(
            keys=(_ENVIRONMENTS, name, _EXTENDS), message=f"{chain[-1]} cannot extend {parent!r}"
        )
    close = difflib.get_close_matches(parent, environments, n=1)
    advice = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(environments)}"
    message = f"there is no environment {parent!r}; {advice}"
    return KeyProblem(keys=(_ENVIRONMENTS, name, _EXTENDS), message=message)


def _circle(chain: Sequence[str], name: str, parent: str) -> KeyProblem:
    if chain == [parent]:
        message = "an environment cannot extend itself: remove this key"
    else:
        way = " → ".join([*chain, parent])
        message = f"the environments extend each other in a circle ({way}): remove one `extends`"
    return KeyProblem(keys=(_ENVIRONMENTS, name, _EXTENDS), message=message)


def _extended(environments: Mapping[str, Any], name: str) -> Any:
    """Return the table of an environment, joined with those that it extends."""
    *above, first = reversed([environments[each] for each in chain_of(environments, name)])
    if not above:
        return first
    whole: dict[str, Any] = {}
    for own in (*above, first):
        if not isinstance(own, Mapping):
            return environments[name]
        dropped = {_EXCLUDES[key] for key in own if key in _EXCLUDES} - own.keys()
        inherited = {key: value for key, value in whole.items() if key not in dropped and key != _EXTENDS}
        whole = _joined(inherited, own)
    return whole


def _joined(
    inherited: Mapping[str, Any], own: Mapping[str, Any], *, is_whole: bool = False
) -> dict[str, Any]:
    """Return two tables joined key by key. A value that is not a table replaces the inherited one."""
    joined = dict(inherited)
    for key, value in own.items():
        below = joined.get(key)
        is_joined = not is_whole and key != _PROXY
        if is_joined and isinstance(below, Mapping) and isinstance(value, Mapping):
            joined[key] = _joined(below, value, is_whole=key in _WHOLE)
        else:
            joined[key] = value
    return joined


def _with_variables(table: Any, shared: Mapping[str, Any]) -> Any:
    """Return the table of a run with the shared variables below its own, and those of its processes."""
    if not isinstance(table, Mapping):
        return table
    own, processes = table.get(_ENV, {}), table.get("processes")
    changed = dict(table)
    if isinstance(own, Mapping):
        changed[_ENV] = {**shared, **own}
    if isinstance(processes, Mapping):
        changed["processes"] = {
            name: _with_variables(each, shared) if isinstance(each, Mapping) and _ENV in each else each
            for name, each in processes.items()
        }
    return changed
