"""Variables of a container that another program made, with their sources. Pure.

Source: https://kubernetes.io/docs/tasks/inject-data-application/ and .../configure-pod-container/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from release.secrets.redact import Redacted

Values = Callable[[str, str], Mapping[str, str] | None]
"""Returns the texts of a ConfigMap or a Secret by kind and name; None if it does not exist."""

REFERENCE: Final = re.compile(r"(?<!\$)\$\([A-Za-z_][A-Za-z0-9_]*\)")
"""Reference to a variable, which the cluster replaces by its value."""


def read_variables(
    container: Mapping[str, Any], values: Values
) -> tuple[dict[str, str], dict[str, Redacted | None], dict[str, str]]:
    """Return plain variables, secrets, and variables that the cluster computes."""
    env, secrets, odd = dict[str, str](), dict[str, Redacted | None](), dict[str, str]()
    for source in container.get("envFrom") or ():
        kind = "Secret" if "secretRef" in source else "ConfigMap"
        name = (source.get("secretRef") or source.get("configMapRef") or {}).get("name") or ""
        for key, text in (values(kind, name) or {}).items():
            _put(f"{source.get('prefix') or ''}{key}", kind, text, env, secrets)
    for each in container.get("env") or ():
        name, given = each["name"], each.get("valueFrom") or {}
        secrets.pop(name, None)
        env.pop(name, None)
        if not given and not REFERENCE.search(each.get("value") or ""):
            env[name] = (each.get("value") or "").replace("$$", "$")
            continue
        kind = "Secret" if "secretKeyRef" in given else "ConfigMap" if "configMapKeyRef" in given else ""
        reference = given.get("secretKeyRef") or given.get("configMapKeyRef") or {}
        found = (
            (values(kind, reference.get("name") or "") or {}).get(reference.get("key") or "")
            if kind
            else None
        )
        if found is not None:
            _put(name, kind, found, env, secrets)
        elif not reference.get("optional"):
            odd[f"env.{name}"] = "the cluster computes its value, or its source does not exist"
    return env, secrets, odd


def _put(name: str, kind: str, text: str, env: dict[str, str], secrets: dict[str, Redacted | None]) -> None:
    if kind == "Secret":
        secrets[name] = Redacted(text)
        env.pop(name, None)
    else:
        env[name] = text
