"""Fields of an object that are not as they were applied. The server adds defaults: only our fields count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_KEYS: Final = (
    ("containerPort", "protocol"),
    ("mountPath",),
    ("port", "protocol"),
    ("name",),
    ("topologyKey",),
)
"""Keys of items of lists, as the schema of Kubernetes has them (x-kubernetes-list-map-keys)."""

Path = tuple[str, ...]


def differing(applied: Any, found: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """Yield each differing field: its path, the applied value and the found value."""
    if isinstance(applied, Mapping) and isinstance(found, Mapping):
        for key, value in applied.items():
            yield from differing(value, found.get(key), (*path, key))
    elif isinstance(applied, Sequence) and not isinstance(applied, str) and _keyed(applied):
        yield from _items(applied, found if isinstance(found, Sequence) else (), path)
    elif applied != found and (applied or found):
        yield path, applied, found


def leaves(applied: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of each applied field that has no fields below it."""
    if isinstance(applied, Mapping) and applied:
        for key, value in applied.items():
            yield from leaves(value, (*path, key))
    elif isinstance(applied, Sequence) and not isinstance(applied, str) and _keyed(applied):
        for item in applied:
            yield from leaves(item, (*path, f"[{','.join(map(str, _key(item)))}]"))
    else:
        yield path


def _items(applied: Sequence[Any], found: Sequence[Any], path: Path) -> Iterator[tuple[Path, Any, Any]]:
    there = {_key(item): item for item in found if isinstance(item, Mapping)}
    for item in applied:
        key = _key(item)
        yield from differing(item, there.get(key), (*path, f"[{','.join(map(str, key))}]"))


def _keyed(items: Sequence[Any]) -> bool:
    return bool(items) and all(isinstance(item, Mapping) and _key(item) for item in items)


def _key(item: Mapping[str, Any]) -> tuple[Any, ...]:
    names = next((names for names in _KEYS if all(name in item for name in names)), ())
    return tuple(item[name] for name in names)
