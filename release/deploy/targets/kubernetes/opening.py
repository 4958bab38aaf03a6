"""Connect to a namespace of a cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack

from release.config import Environment
from release.config.kubernetes import Kubernetes
from release.deploy.core.place import Place
from release.deploy.core.target import Target
from release.deploy.targets.kubernetes.library import require_library
from release.events import Emit


def open_target(
    place: Place,
    settings: Environment,
    ports: Mapping[str, int | None],  # noqa: ARG001 - no proxy is told
    stack: ExitStack,
    emit: Emit,  # noqa: ARG001 - a cluster has one address
) -> Target:
    """Return the target of a namespace, without a request. See `release.deploy.targets.Opening`."""
    require_library(f"connect to the cluster of {place}")
    from release.deploy.targets.kubernetes.access import read_access
    from release.deploy.targets.kubernetes.api import connected
    from release.deploy.targets.kubernetes.target import KubernetesTarget

    table = settings.kubernetes or Kubernetes()
    access = read_access(table, os.environ)
    cluster = stack.enter_context(connected(access))
    return KubernetesTarget(cluster=cluster, place=place, force=table.conflicts == "force")
