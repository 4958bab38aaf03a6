"""Parsing of configuration files into frozen values. All problems are reported at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from release.config.extending import KeyProblem, apply_inheritance, has_key, written_at
from release.config.group import parse_groups
from release.config.kinds import ROOT
from release.config.place import ConfigTable, Read, choose_table, find_table
from release.config.service import Config, Service
from release.config.smoke import ASK
from release.errors import ConfigError, Problem
from release.files.regular import read_regular
from release.parsing import tomltext
from release.values import Struct


def load(root: Path) -> Config:
    """Read `release.toml` or `pyproject.toml` in a folder. Raise ConfigError with all problems."""
    return read(folder_reader(root))


def folder_reader(root: Path) -> Read:
    """Return a function that reads files of a folder, and raises ConfigError for unreadable files."""
    return lambda name: _content(root / name)


def read(files: Read) -> Config:
    """Read the configuration from files, which `files` returns by name. Raise ConfigError."""
    return _parsed(find_table(files))


def parse(document: Mapping[str, Any]) -> Config:
    """Parse the document of a pyproject.toml. Raise ConfigError with all problems."""
    return _parsed(choose_table(document, None))


def _content(file: Path) -> bytes | None:
    try:
        if not file.resolve(strict=True).is_relative_to(file.parent.resolve()):
            message = "it is a link that leads out of the repository: write the file itself"
            raise ConfigError(file.name, [Problem(path=file.name, message=message)])
        return read_regular(file, tomltext.LARGEST)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(file.name, [Problem(path=file.name, message=str(error))]) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links, before Python 3.13
        why = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        message = f"the file cannot be read: {why}"
        raise ConfigError(file.name, [Problem(path=file.name, message=message)]) from error


def _parsed(place: ConfigTable) -> Config:
    if path := tomltext.not_a_number(place.table, place.root):
        message = "the number is infinite, not a number, or has more than 64 bits"
        raise ConfigError(place.file, [Problem(path=path, message=message)])
    if "services" not in place.table:
        _refuse_groups(place)
        return _parse_services(place, [_single(place)], several=False)
    return _parse_services(place, _several(place), several=True, groups=place.table.get("groups"))


def _refuse_groups(place: ConfigTable) -> None:
    """Raise ConfigError if a repository of one service has groups."""
    if "groups" in place.table:
        message = "a group has several services: write a table for each, [tool.release.services.<name>]"
        raise ConfigError(place.file, [Problem(path=_joined(place.root, ["groups"]), message=message)])


class _Written(Struct, frozen=True, kw_only=True):
    """Service as it is written: paths of its name and its table, its own keys, and inherited keys."""

    name: object
    name_path: str
    path: str
    own: Mapping[str, Any]
    defaults: Mapping[str, Any]
    root: str
    """Path of the table with the defaults."""

    @property
    def written(self) -> dict[str, Any]:
        """Return the own keys joined over the defaults, with the name if there is one."""
        return _merged(self.defaults, self.own) | ({} if self.name is None else {"service": self.name})

    def values(self) -> tuple[dict[str, Any], list[KeyProblem]]:
        """Return the keys with all inherited values, and the problems of inheritance."""
        return apply_inheritance(self.written)

    def path_of(self, location: Sequence[int | str]) -> str:
        """Return the path of a key, in the table where the key is written."""
        keys: list[int | str] = [part for part in location if part != "[key]"]
        if keys == ["service"]:
            return self.name_path
        keys = written_at(self.written, keys) if keys else keys
        inherited = has_key(self.defaults, keys) and not has_key(self.own, keys)
        return _joined(self.root if inherited else self.path, keys)


def _single(place: ConfigTable) -> _Written:
    table, project = place.table, place.project
    inherits = "service" not in table and "name" in project
    return _Written(
        name=project["name"] if inherits else table.get("service"),
        name_path=_NAME if inherits else _joined(place.root, ["service"]),
        path=place.root,
        own=table,
        defaults={},
        root=place.root,
    )


def _several(place: ConfigTable) -> list[_Written]:
    defaults = {key: value for key, value in place.table.items() if key not in ("services", "groups")}
    named = place.table["services"]
    root = _joined(place.root, ["services"])
    if not isinstance(named, dict) or not named or not all(isinstance(own, dict) for own in named.values()):
        problem = Problem(path=root, message="write one table for each service")
        raise ConfigError(place.file, [problem])
    paths = {name: _joined(root, [name]) for name in named}
    renamed = [place.root] * ("service" in defaults)
    renamed += [paths[name] for name in named if "service" in named[name]]
    if renamed:
        message = "remove this key: the name of a service's table is its name"
        problems = [Problem(path=_joined(path, ["service"]), message=message) for path in renamed]
        raise ConfigError(place.file, problems)
    return [
        _Written(
            name=name, name_path=paths[name], path=paths[name], own=own, defaults=defaults, root=place.root
        )
        for name, own in named.items()
    ]


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the service's own keys joined over the defaults, table by table."""
    merged = dict(defaults)
    for key, value in own.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _joined(path: str, keys: Iterable[int | str]) -> str:
    for key in keys:
        path += f"[{key}]" if isinstance(key, int) else f".{key}"
    return path.removeprefix(".")


def _parse_services(
    place: ConfigTable, tables: Iterable[_Written], *, several: bool, groups: object = None
) -> Config:
    services: dict[str, Service] = {}
    problems: list[Problem] = []
    for each in tables:
        values, wrong = each.values()
        problems += [Problem(path=each.path_of(found.keys), message=found.message) for found in wrong]
        try:
            service = Service.model_validate(values, by_alias=True, by_name=False)
            services[service.service] = service
        except ValidationError as error:
            problems += [
                Problem(path=(path := each.path_of(found["loc"])), message=_message(found) + _instead(path))
                for found in _causes(error.errors(include_url=False))
            ]
    written = {} if groups is None else groups
    together, wrong_groups = ({}, []) if problems else parse_groups(written, services)
    root = _joined(place.root, ["groups"])
    problems += [Problem(path=_joined(root, each.keys), message=each.message) for each in wrong_groups]
    if problems:
        raise ConfigError(place.file, list(dict.fromkeys(problems)))
    return Config(
        services=services, several=several, groups={name: each.services for name, each in together.items()}
    )


def _instead(path: str) -> str:
    """Return advice for a project name that is not valid as a service name; empty for other keys."""
    return f'; or give the service another one, as `service = "api"` in [{ROOT}]' if path == _NAME else ""


_NAME: Final = "project.name"
_SHAPES: Final = {
    "bool_type": "write true or false",
    "dict_type": "write a table",
    "int_type": "write a whole number",
    "model_type": "write a table",
    "string_type": "write text in quotes",
    "tuple_type": "write a list",
}
"""Advice on the correct form, by pydantic's kind of error."""


def _causes(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Return the errors, without those of a list that is too short only because its items are wrong."""
    parents = {each["loc"][:-1] for each in errors}
    return [each for each in errors if each["type"] != "too_short" or each["loc"] not in parents]


def _message(error: ErrorDetails) -> str:
    """Return the message for a pydantic error, without the value, which may be a secret."""
    hidden = not {"secrets", "args"}.isdisjoint(error["loc"])
    found = "" if hidden else f", not {error['input']!r}"
    match error["type"]:
        case "extra_forbidden":
            return _unknown(str(error["loc"][-1]), _known_keys(error["loc"][:-1]))
        case "missing" if error["loc"][-1] == "smoke":
            return f"this table is required: {ASK}"
        case "missing":
            return "this key is required"
        case "value_error":
            return str(error["ctx"]["error"])
        case "not_matching":
            return f"{'this' if hidden else repr(error['input'])} {error['msg']}"
        case "too_short":
            return f"write at least {error['ctx']['min_length']} value"
        case kind if kind in _SHAPES:
            return f"{_SHAPES[kind]}{found}"
        case _:
            return f"{error['msg'][0].lower()}{error['msg'][1:]}{found}"


def _unknown(key: str, known: Sequence[str]) -> str:
    unseen = "".join(dict.fromkeys(each for each in key if not each.isascii() or not each.isprintable()))
    if unseen and (plain := key.translate(dict.fromkeys(map(ord, unseen)))) in known:
        named = ", ".join(f"U+{ord(each):04X}" for each in unseen)
        return f"unknown key: write {plain!r} without the character {named}, which may be invisible"
    close = difflib.get_close_matches(key, known, n=1)
    return f"unknown key; did you mean {close[0]!r}?" if close else f"unknown key; known: {', '.join(known)}"


def _known_keys(location: Iterable[int | str]) -> list[str]:
    """Return the known keys of the table at a location."""
    model: type[BaseModel] = Service
    parts = iter([part for part in location if isinstance(part, str)])
    for part in parts:
        field = _fields(model)[part]
        model = _model_in(field) or model
        if get_origin(field) is dict:
            next(parts, None)
    return [*_fields(model), *(["services"] if model is Service else [])]


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return the types of a table's keys, by written name."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a table in a type; None if the type has none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)
