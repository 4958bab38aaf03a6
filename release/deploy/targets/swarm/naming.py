"""Names of a Swarm's objects: services, locks, secrets, configs."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from release.deploy.core.place import Place

_OPERATION: Final = re.compile(r"[0-9a-f]{12}")
_FILE_NAME: Final = re.compile(r"-[0-9a-f]{16}\Z")


_SURE: Final = 24
"""Characters of a place's name that are in every name of its objects, however long the rest is."""


_VARIANT: Final = re.compile(r"\.[0-9a-f]{8}\Z")


_LONGEST_SERVICE: Final = 63


_LONGEST_OBJECT: Final = 64


def service_name(place: Place) -> str:
    """Return the name of the service, which is also a host name: at most 63 characters."""
    return fitting(place.container, _LONGEST_SERVICE)


def command_name(place: Place, deployment: str, kind: str) -> str:
    """Return the service name of a command on the data. The last part of the name is the kind."""
    suffix = f"-{deployment}-{kind}"
    return fitting(place.container, _LONGEST_SERVICE - len(suffix)) + suffix


def run_name(name: str) -> str:
    """Return the service name of an operator's command."""
    return fitting(name, _LONGEST_SERVICE)


def is_run_name(place: Place, name: str) -> bool:
    """Return whether a service has a name that `run_name` gives."""
    first, _, operation = name.rpartition("-")
    whole = first == f"{place.container}-run" and bool(_OPERATION.fullmatch(operation))
    return whole or (len(name) == _LONGEST_SERVICE and name.startswith(place.container[:_SURE]))


def failed_name(place: Place) -> str:
    """Return the name of the config with the output of the last failed deployment."""
    return fitting(f"release-failed-{place.container}", _LONGEST_OBJECT)


def lock_name(name: str) -> str:
    """Return the name of the config that is the lock."""
    return fitting(name, _LONGEST_OBJECT)


def secret_name(place: Place, name: str, fingerprint: str) -> str:
    """Return the name of a secret. Another value has another name.

    A fingerprint covers the secret's name and value, and its own text is a key's name, ":" and digits.
    """
    suffix = "-" + fingerprint.replace(":", "-")
    return fitting(f"{place.container}-{name}", _LONGEST_OBJECT - len(suffix)) + suffix


def file_name(place: Place, path: str, sha256: str) -> str:
    """Return the name of a file's config. Another content has another name."""
    suffix = f"-{sha256[:16]}"
    last = re.sub(r"[^a-zA-Z0-9_.-]", "-", path.rpartition("/")[2])
    return fitting(f"{place.container}-{last}", _LONGEST_OBJECT - len(suffix)) + suffix


def is_file_name(place: Place, name: str) -> bool:
    """Return whether a config has a name of `file_name`, or a variant of one."""
    plain = _VARIANT.sub("", name)
    begins = fitting(place.container, _LONGEST_OBJECT - 26)[:_SURE]
    return plain.startswith(begins) and (plain != name or bool(_FILE_NAME.search(plain)))


def variant(name: str, digits: str) -> str:
    """Return another name, if somebody has this one; `digits` are eight hexadecimal digits."""
    return f"{name[: _LONGEST_OBJECT - 9]}.{digits}"


def is_variant(found: str, name: str) -> bool:
    """Return whether a name is a variant of another one: see `variant`."""
    return bool(_VARIANT.search(found)) and name[: _LONGEST_OBJECT - 9] == found[:-9]


def before_name(place: Place, deployment: str) -> str:
    """Return the name of the config with the spec that a failed rollout restores."""
    suffix = f"-{deployment}"
    return fitting(f"release-before-{place.container}", _LONGEST_OBJECT - len(suffix)) + suffix


def fitting(name: str, longest: int) -> str:
    """Return the name; a long one is cut and gets eight digits of its hash."""
    if len(name) <= longest:
        return name
    digits = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: longest - 9]}-{digits}"
