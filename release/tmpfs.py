"""Folders in memory, in the form of Docker's command line: `/run/app:uid=10001,gid=10001,mode=0750`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import model_serializer, model_validator

from release.scalars import AbsolutePath, Value, parse_mode, parse_size, size_text

_WORDS: Final = 'write a path, and after it options, as "/run/app:uid=10001,gid=10001,mode=0750,size=64m"'
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class Tmpfs(Value):
    """Folder in memory: `/path[:uid=…,gid=…,mode=…,size=…]`; without options the engine chooses the mode."""

    path: AbsolutePath
    uid: int | None = None
    """The number of the owner."""
    gid: int | None = None
    mode: int | None = None
    size: int | None = None
    """Bytes."""

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        return value if isinstance(value, Mapping | Tmpfs) else _parsed(value)

    @property
    def options(self) -> str:
        """Return the options in the engine's form (tmpfs(5)); empty without options."""
        told = {
            "uid": self.uid,
            "gid": self.gid,
            "mode": None if self.mode is None else f"{self.mode:04o}",
            "size": None if self.size is None else size_text(self.size).removesuffix("b"),
        }
        return ",".join(f"{name}={value}" for name, value in told.items() if value is not None)

    @model_serializer
    def _text(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """Return the folder as the Docker command line writes it."""
        return f"{self.path}:{self.options}" if self.options else self.path


def _parsed(value: object) -> dict[str, Any]:
    path, _, options = value.partition(":") if isinstance(value, str) else ("", "", "")
    pairs = [option.partition("=")[::2] for option in options.split(",")] if options else []
    names = [name for name, _ in pairs]
    if not path.startswith("/") or str(value).endswith(":") or len(names) != len(set(names)):
        raise ValueError(f"{value!r} is not a folder in memory: {_WORDS}")
    return {"path": path} | {name: _option(str(value), name, text) for name, text in pairs}


def _option(whole: str, name: str, text: str) -> object:
    if name in ("uid", "gid") and _NUMBER.fullmatch(text):
        return int(text)
    if name == "mode":
        return parse_mode(text)
    if name == "size":
        return parse_size(text)
    raise ValueError(f"{whole!r} is not a folder in memory: {_WORDS}")


def options_of(folders: Iterable[Tmpfs]) -> dict[str, str] | None:
    """Return the options by path, as deployments record them; None without options."""
    return {folder.path: folder.options for folder in folders if folder.options} or None


def texts(paths: Iterable[str], options: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return recorded paths and options as texts: `/run/app:uid=10001`."""
    known = options or {}
    return tuple(f"{path}:{known[path]}" if path in known else path for path in paths)
