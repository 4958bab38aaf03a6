"""Settings that are imported from another tool's file, and notes on the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from release.errors import UsageError
from release.init.folder import LARGEST, RepositoryFolder
from release.secrets.detection import secret_suspicion
from release.values import Struct, field

_VARIABLE: Final = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)(?::?-([^}]*))?\}?")


class ImportedSettings(Struct, frozen=True, kw_only=True):
    """Settings from a Procfile, a compose file or Kamal's deploy.yml."""

    file: str
    tables: Mapping[str, Any] = field(default_factory=dict)
    """Keys of `[tool.release]` without environments."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the environment's table."""
    environment: str = "production"
    command: Sequence[str] = ()
    """Command of the serving process."""
    processes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Commands of the other processes of the same image."""
    up: Sequence[str] = ()
    """Command that runs before each deployment, as migrations."""
    port: int | None = None
    path: str | None = None
    """Path of the health check."""
    notes: Sequence[str] = ()
    """Sentences on settings that were not imported."""


def read_yaml(folder: RepositoryFolder, path: str) -> dict[str, Any]:
    """Return the content of a YAML file of the repository. Raise UsageError."""
    attempted = f"read {path}"
    text = folder.read_text(path, LARGEST)
    if not text.strip():
        raise UsageError(attempted, "it is missing, empty, or too large", "name the file: init --from FILE")
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise UsageError(attempted, f"it is not YAML: {said}", "correct the file") from error
    if not isinstance(document, dict):
        raise UsageError(attempted, "it is not a table of YAML", "name another file: init --from FILE")
    return {str(key): value for key, value in document.items()}


class VariablesByKind(Struct, frozen=True, kw_only=True):
    """Environment variables, divided into plain values and secrets."""

    env: Mapping[str, str]
    secrets: Mapping[str, Any]
    notes: tuple[str, ...]


def sort_variables(given: Mapping[str, Any]) -> VariablesByKind:
    """Divide variables into plain values and secrets from the operator's environment.

    A value that looks like a secret is not copied: the variable gets `from_env`, and a sentence says so.
    """
    env: dict[str, str] = {}
    secrets: dict[str, Any] = {}
    left: list[str] = []
    for name, value in given.items():
        text = _scalar_text(value)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            left.append(f"the variable {name!r}: its name is not one of a shell")
        elif text is None or ((match := _VARIABLE.fullmatch(text)) and not match[2]):
            source = _VARIABLE.fullmatch(text or "")
            secrets[name] = {"from_env": source[1] if source else name}
        elif "<%" in text or "$" in _VARIABLE.sub("", text) or secret_suspicion(name, text):
            secrets[name] = {"from_env": name}
            left.append(f"the value of {name}: it looks like a secret or a template. Set it where you deploy")
        else:
            env[name] = _VARIABLE.sub(lambda found: found[2] or "", text)
    return VariablesByKind(env=env, secrets=secrets, notes=tuple(left))


def _scalar_text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None or isinstance(value, dict | list) else str(value)


def parse_name_value_pairs(value: object) -> dict[str, Any]:
    """Return a table that may also be a list of NAME=value."""
    if isinstance(value, dict):
        return {str(key): each for key, each in value.items()}
    texts = [str(each) for each in value] if isinstance(value, list) else []
    return {
        name: (rest if equals else None) for name, equals, rest in (text.partition("=") for text in texts)
    }


def subtable(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a table of a document; empty if the key is missing or not a table."""
    value = document.get(key)
    return {str(name): each for name, each in value.items()} if isinstance(value, dict) else {}


def list_of_texts(value: object) -> list[str]:
    """Return the texts and numbers of a list; one text counts as a list."""
    values = value if isinstance(value, list) else [value]
    return [str(each) for each in values if isinstance(each, str | int) and not isinstance(each, bool)]


def command_words(value: object) -> tuple[str, ...]:
    """Return a command as a tuple of words; a text with shell syntax runs in a shell."""
    import shlex

    if isinstance(value, list):
        return tuple(str(each) for each in value)
    text = value.strip() if isinstance(value, str) else ""
    if re.search(r"[;&|<>`$(){}*?~\n]", text):
        return ("sh", "-c", text)
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return ("sh", "-c", text)


def import_volumes(given: object, notes: list[str]) -> Iterator[str]:
    """Yield named volumes and absolute folders; add a sentence to `left` for each other volume."""
    for each in given if isinstance(given, list) else ():
        text = each if isinstance(each, str) else _mount_from_long_syntax(each)
        parts = text.split(":")
        usable = (
            len(parts) in (2, 3) and parts[1].startswith("/") and not parts[0].startswith((".", "~", "$"))
        )
        if usable and (len(parts) == 2 or parts[2] in ("ro", "rw")):
            yield ":".join(parts[:2] if parts[2:] == ["rw"] else parts)
        else:
            notes.append(f"the volume {text!r}: write an existing volume, or an absolute folder")


def _mount_from_long_syntax(each: object) -> str:
    entry = each if isinstance(each, dict) else {}
    end = ":ro" if entry.get("read_only") else ""
    return f"{entry.get('source', '')}:{entry.get('target', '')}{end}"
