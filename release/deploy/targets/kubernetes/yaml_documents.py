"""YAML documents as Kubernetes reads them: times and 12:30:45 are text, and each key is text.

Source: kubectl converts YAML to JSON (sigs.k8s.io/yaml), so that a document has only the types of JSON.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

_WITHOUT: Final = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_INT: Final = re.compile(r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|(0|[1-9][0-9_]*))$")
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)


class _Loader(yaml.SafeLoader):
    """Loader without times, and without numbers to the base of 60."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _WITHOUT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def load_all(text: str) -> list[Any]:
    """Return the documents of a stream. Raises yaml.YAMLError, RecursionError, ValueError."""
    return [_with_text_keys(each) for each in yaml.load_all(text, Loader=_Loader)]


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _with_text_keys(inner) for key, inner in value.items()}
    return [_with_text_keys(each) for each in value] if isinstance(value, list) else value


def _key(key: object) -> str:
    """Return a key as text, as kubectl writes it: true, 8080."""
    return key if isinstance(key, str) else json.dumps(key)
