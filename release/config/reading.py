"""From pyproject.toml to frozen values: what services share, what is one's own, and all problems at once."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from release.config.kinds import FILE, ROOT
from release.config.service import Config, Service
from release.errors import ConfigError, Problem
from release.frozen import Struct


def load(root: Path) -> Config:
    """Read `pyproject.toml` in this folder. Raises ConfigError with every problem in it."""
    file = root / FILE
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _wrong(ROOT, f"the file cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _wrong(FILE, f"not TOML: {error}") from error
    return parse(document)


def parse(document: Mapping[str, Any]) -> Config:
    """Parse the whole document of a pyproject.toml. Raises ConfigError."""
    table = _table(document, "tool").get("release")
    if not isinstance(table, dict):
        raise _wrong(ROOT, "the table is missing; docs/how-to/adopt.md shows one")
    if "services" not in table:
        return _parse_services([_single(table, _table(document, "project"))], several=False)
    return _parse_services(_several(table), several=True)


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = document.get(key)
    return table if isinstance(table, dict) else {}


def _wrong(path: str, message: str) -> ConfigError:
    return ConfigError(FILE, [Problem(path=path, message=message)])


class _Written(Struct, frozen=True, kw_only=True):
    """One service as it is written: its name's path, its own table's path, its keys and those it inherits."""

    name: object
    name_path: str
    path: str
    own: Mapping[str, Any]
    defaults: Mapping[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """What its keys say together; without a name, that key is missing."""
        return _merged(self.defaults, self.own) | ({} if self.name is None else {"service": self.name})

    def path_of(self, location: Sequence[int | str]) -> str:
        """The path of a key, in the table that it is written in."""
        keys = [part for part in location if part != "[key]"]
        if keys == ["service"]:
            return self.name_path
        inherited = _holds(self.defaults, keys) and not _holds(self.own, keys)
        return _joined(ROOT if inherited else self.path, keys)


def _single(table: Mapping[str, Any], project: Mapping[str, Any]) -> _Written:
    inherits = "service" not in table and "name" in project
    return _Written(
        name=project["name"] if inherits else table.get("service"),
        name_path="project.name" if inherits else f"{ROOT}.service",
        path=ROOT,
        own=table,
        defaults={},
    )


def _several(table: Mapping[str, Any]) -> list[_Written]:
    defaults = {key: value for key, value in table.items() if key != "services"}
    named = table["services"]
    if not isinstance(named, dict) or not named or not all(isinstance(own, dict) for own in named.values()):
        raise _wrong(f"{ROOT}.services", "write one table for each service")
    paths = {name: f"{ROOT}.services.{name}" for name in named}
    renamed = [ROOT] * ("service" in defaults) + [paths[name] for name in named if "service" in named[name]]
    if renamed:
        message = "remove this key: the name of a service's table is its name"
        raise ConfigError(FILE, [Problem(path=f"{path}.service", message=message) for path in renamed])
    return [
        _Written(name=name, name_path=paths[name], path=paths[name], own=own, defaults=defaults)
        for name, own in named.items()
    ]


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The service's own keys over the defaults, table by table."""
    merged = dict(defaults)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _holds(table: Any, keys: Sequence[int | str]) -> bool:
    """Whether this key is written in this table."""
    for key in keys:
        try:
            table = table[key]
        except (LookupError, TypeError):
            return False
    return True


def _joined(path: str, keys: Iterable[int | str]) -> str:
    for key in keys:
        path += f"[{key}]" if isinstance(key, int) else f".{key}"
    return path


def _parse_services(written: Iterable[_Written], *, several: bool) -> Config:
    services: dict[str, Service] = {}
    problems: list[Problem] = []
    for each in written:
        try:
            service = Service.model_validate(each.values, by_alias=True, by_name=False)
            services[service.service] = service
        except ValidationError as error:
            problems += [
                Problem(path=each.path_of(found["loc"]), message=_message(found))
                for found in error.errors(include_url=False)
            ]
    if problems:
        raise ConfigError(FILE, list(dict.fromkeys(problems)))
    return Config(services=services, several=several)


_SHAPES: Final = {
    "bool_type": "write true or false",
    "dict_type": "write a table",
    "int_type": "write a whole number",
    "model_type": "write a table",
    "string_type": "write text in quotes",
    "tuple_type": "write a list",
}
"""What to write, by pydantic's kind of error."""


def _message(error: ErrorDetails) -> str:
    """What is wrong, in our words. The value itself is not shown where it may be a secret."""
    hidden = not {"secrets", "args"}.isdisjoint(error["loc"])
    found = "" if hidden else f", not {error['input']!r}"
    match error["type"]:
        case "extra_forbidden":
            return _unknown(str(error["loc"][-1]), _known_keys(error["loc"][:-1]))
        case "missing":
            return "this key is required"
        case "value_error":
            return str(error["ctx"]["error"])
        case "not_matching":
            return f"{'this' if hidden else repr(error['input'])} {error['msg']}"
        case "too_short":
            return f"write at least {error['ctx']['min_length']} word"
        case kind if kind in _SHAPES:
            return f"{_SHAPES[kind]}{found}"
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}{found}"


def _unknown(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {close[0]!r}?" if close else f"unknown key; known: {', '.join(known)}"


def _known_keys(location: Iterable[int | str]) -> list[str]:
    """The keys of the table at this place."""
    model: type[BaseModel] = Service
    parts = iter([part for part in location if isinstance(part, str)])
    for part in parts:
        field = _fields(model)[part]
        model = _model_in(field) or model
        if get_origin(field) is dict:
            next(parts, None)
    return [*_fields(model), *(["services"] if model is Service else [])]


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The types of a table's keys, by the name that is written."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The table that a type holds, if it holds one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)
