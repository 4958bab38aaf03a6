"""Permissions of an account that deploys: the least with which everything works.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from release.deploy.targets.kubernetes.kinds import MANIFESTS

_APPLIED: Final = ("get", "list", "create", "patch", "delete")
NEEDED: Final = (
    *(("apps", "deployments", verb) for verb in _APPLIED),
    *(("", "services", verb) for verb in _APPLIED),
    *(("policy", "poddisruptionbudgets", verb) for verb in _APPLIED),
    *(("batch", "jobs", verb) for verb in _APPLIED),
    *(("", "secrets", verb) for verb in ("get", "list", "create", "delete")),
    *(("", "configmaps", verb) for verb in ("get", "list", "create", "delete")),
    *(("coordination.k8s.io", "leases", verb) for verb in ("get", "create", "update")),
    *(("", "pods", verb) for verb in ("list", "watch")),
    ("", "pods/log", "get"),
)
"""Group, resource and verb of every request that a deployment cannot go without."""
FOR_MANIFESTS: Final = (
    ("", "configmaps", "patch"),
    *(
        (group, resource, verb)
        for name, (_, group, resource) in MANIFESTS.items()
        if name not in ("Deployment", "Service", "PodDisruptionBudget", "ConfigMap")
        for verb in _APPLIED
    ),
)
"""Group, resource and verb of requests for manifests alone. Each is needed only for a kind that they have."""
WANTED: Final = (
    ("", "pods/proxy", "get"),
    ("", "pods", "create"),
    ("", "events", "list"),
    ("", "persistentvolumeclaims", "get"),
    ("", "serviceaccounts", "get"),
)
"""Group, resource and verb of optional requests. Without them there are fewer checks."""


def role(permissions: Iterable[tuple[str, str, str]]) -> str:
    """Return a Role with these permissions as YAML, one rule for each resource."""
    verbs = dict[tuple[str, str], list[str]]()
    for group, resource, verb in permissions:
        verbs.setdefault((group, resource), []).append(verb)
    rules = [
        f'  - apiGroups: ["{group}"]\n    resources: ["{resource}"]\n    verbs: [{", ".join(said)}]\n'
        for (group, resource), said in verbs.items()
    ]
    head = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: release\nrules:\n"
    return head + "".join(rules)
