"""Names of a place's objects in its namespace, and which of its labels fit into a cluster's.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/: names of
Services are DNS labels of 63 characters, values of labels too, with letters, digits, "-", "_" and ".".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from release.deploy.core.place import DEPLOYMENT, ENVIRONMENT, PROCESS, ROLE, SERVICE, Place

_LONGEST: Final = 63
DRILL: Final = "release.drill"
"""Label of what a drill makes: the drill's id."""
_SELECTED: Final = (SERVICE, ENVIRONMENT, ROLE, PROCESS, DRILL)
"""Labels that a Deployment selects its pods by. They never change: the selector is immutable."""
_AS_LABEL: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_OTHER: Final = re.compile(r"[^a-z0-9-]+")
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OURS: Final = {MANAGED_BY: "release"}
SECRET, FILE, BEFORE = "secret", "file", "inventory"
"""Roles of objects that are no pods."""


def workload(place: Place) -> str:
    """Return the name that a Deployment, its Service and its PodDisruptionBudget share."""
    return fitting(place.container, _LONGEST - 11)


def is_own(place: Place, process: str, name: str) -> bool:
    """Return whether an object of this process has the name that a deployment gives it.

    An object of the team's own manifests has the name of its process. Labels alone are no proof.
    """
    return name in (workload(place.at(process)), process)


def lock_name(name: str) -> str:
    """Return the name of a Lease."""
    return fitting(name, _LONGEST)


def secret_name(place: Place, name: str, fingerprint: str) -> str:
    """Return the name of a Secret. Another value has another name.

    A fingerprint covers the secret's name and its value: "<key's name>:<digits>".
    """
    suffix = "-" + _plain(fingerprint)
    return fitting(f"{place.container}-{_plain(name)}", _LONGEST - len(suffix)) + suffix


def file_name(place: Place, path: str, sha256: str) -> str:
    """Return the name of a file's ConfigMap. Another path or content has another name."""
    digits = hashlib.sha256(f"{path}\n{sha256}".encode()).hexdigest()[:16]
    last = _plain(path.rpartition("/")[2]) or "file"
    return fitting(f"{place.container}-{last}", _LONGEST - 17) + f"-{digits}"


def command_name(place: Place, deployment: str, kind: str) -> str:
    """Return the name of the Job of a command that changes the data."""
    suffix = f"-{deployment}-{kind}"
    return fitting(place.container, _LONGEST - len(suffix)) + suffix


def run_name(name: str) -> str:
    """Return the name of the Job of an operator's command."""
    return fitting(name, _LONGEST)


def failed_name(place: Place) -> str:
    """Return the name of the ConfigMap with the output of a failed deployment."""
    return fitting(f"{place.container}-failed", _LONGEST)


def inventory_name(place: Place, sha256: str) -> str:
    """Return the name of a deployment's inventory. Another content has another name."""
    return fitting(f"{place.container}-objects", _LONGEST - 17) + f"-{sha256[:16]}"


def selector(place: Place, role: str) -> dict[str, str]:
    """Return the labels that select the objects of a place, or of one process of it."""
    given = place.labels(role)
    return {key: value_of(given[key]) for key in _SELECTED if key in given}


def pod_selector(place: Place, role: str) -> dict[str, str]:
    """Return the labels of a process's pods; without processes, the label's value is empty.

    So a Service of the only process never sends a request to a worker that is added later.
    """
    return selector(place, role) | {PROCESS: place.process}


def split(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return labels, and as annotations the texts whose values cannot be labels.

    The deployment is a label, so that `kubectl get pods -l` finds it.
    """
    known = {DEPLOYMENT, *_SELECTED}
    labels = {key: value_of(value) for key, value in given.items() if key in known}
    return labels, {key: value for key, value in given.items() if key not in known}


def value_of(text: str) -> str:
    """Return a text as a label's value; a text that does not fit is cut and gets digits of its hash."""
    return text if _AS_LABEL.fullmatch(text) else fitting(_plain(text), _LONGEST)


def fitting(name: str, longest: int) -> str:
    """Return the name; a long one is cut and gets eight digits of its hash."""
    if len(name) <= longest:
        return name
    digits = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: longest - 9]}-{digits}"


def _plain(text: str) -> str:
    return _OTHER.sub("-", text.lower()).strip("-")
