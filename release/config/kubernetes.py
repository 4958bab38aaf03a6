"""`kubernetes` of an environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from release.config.kinds import RelativePath
from release.runspec import RunSpec
from release.scalars import Cpus, Items, Matching, Memory, Pause, Value
from release.targetspec import KubernetesSpec
from release.tmpfs import Tmpfs

if TYPE_CHECKING:
    from release.config.runsettings import RunSettings

ObjectName = Annotated[
    str,
    Matching(
        r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?",
        "a name of a Kubernetes object: lower-case letters, digits, - and .",
    ),
]
Namespace = Annotated[
    str,
    Matching(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "a namespace: lower-case letters, digits and -"),
]
_OF_RUN_SETTINGS: Final = frozenset(
    {
        *("service_type", "service_account", "pull_secrets", "node_selector", "max_surge", "max_unavailable"),
        *("pre_stop", "request_memory", "request_cpus"),
    }
)
"""Keys that shape the objects of run settings."""
_NUMBERS: Final = re.compile(r"[0-9]{1,9}(:[0-9]{1,9})?")


class Chart(Value):
    """`[tool.release.environments.<name>.kubernetes.chart]`: a Helm chart, which `helm template` renders."""

    path: RelativePath
    """Folder of the chart, from the repository's root."""
    values: Items[RelativePath] = ()
    """Files of values. Later files override earlier ones."""
    release_name: ObjectName | None = None
    """Name of the Helm release; absent: the name of the service."""


class Kubernetes(Value):
    """`[tool.release.environments.<name>.kubernetes]`: which cluster, and how it runs and replaces pods."""

    kubeconfig: str | None = None
    """File with the access to the cluster; absent: KUBECONFIG, else ~/.kube/config, else the service account
    of the pod in which the command runs."""
    context: Annotated[str, Field(min_length=1)] | None = None
    """Name of a context in the kubeconfig; absent: the current context."""
    namespace: Namespace | None = None
    """An existing namespace; absent: the namespace of the context, else "default"."""
    conflicts: Literal["refuse", "force"] = "refuse"
    """Reaction to a field that another program or person manages now: "refuse" names field and manager and
    changes nothing; "force" takes the field over."""
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service for published ports."""
    service_account: ObjectName | None = None
    """Existing service account of the pods, whose token they get; absent: the default one, without token."""
    pull_secrets: Items[ObjectName] = ()
    """Existing secrets with logins to registries."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that a node must have to run the pods."""
    max_surge: Annotated[int, Field(ge=0, le=1000)] = 1
    """Number of pods that start beside the old ones at a time."""
    max_unavailable: Annotated[int, Field(ge=0, le=1000)] = 0
    """Number of pods that may be missing at a time while they are replaced."""
    pre_stop: Pause = 5_000
    """Time that a pod still serves after the cluster began to take it out of its Services. Without this
    time, requests are sent to a process that stops."""
    request_memory: Memory | None = None
    """Memory of its node that is reserved for each pod; absent: `memory`."""
    request_cpus: Cpus | None = None
    """Processors of its node that are reserved for each pod; absent: `cpus`."""

    manifests: Items[Annotated[str, Field(min_length=1)]] = ()
    """Files with the objects of the environment, as ["deploy/*.yaml"], instead of run settings."""
    kustomize: RelativePath | None = None
    """Folder that `kubectl kustomize` renders, instead of run settings."""
    chart: Chart | None = None
    """Helm chart that `helm template` renders, instead of run settings."""

    @property
    def has_manifests(self) -> bool:
        """Return whether the team's own manifests describe the objects."""
        return bool(self.manifests or self.kustomize or self.chart)

    def spec(self) -> KubernetesSpec:
        """Return the settings as deployments record them, without the documents of manifests."""
        names = KubernetesSpec.model_fields.keys() - {"documents"}
        return KubernetesSpec(**{name: getattr(self, name) for name in names})

    def problems(self) -> Iterator[str]:
        """Yield sentences on keys that contradict each other."""
        if not self.max_surge and not self.max_unavailable:
            yield "kubernetes: max_surge and max_unavailable are both 0: no pod could ever be replaced"
        if sum(map(bool, (self.manifests, self.kustomize, self.chart))) > 1:
            yield "kubernetes: manifests, kustomize and chart exclude each other: keep one"
        if wrong := sorted(self.model_fields_set & _OF_RUN_SETTINGS if self.has_manifests else ()):
            yield f"kubernetes: write {', '.join(wrong)} into the manifests: they describe the objects"


def unsupported_settings(settings: RunSettings | RunSpec, folders: Iterable[Tmpfs]) -> Iterator[str]:
    """Yield sentences on run settings that a cluster cannot keep, with the alternative.

    Args:
        settings: settings of an environment or process, or recorded settings.
        folders: folders in memory of these settings.
    """
    for key, instead in _INSTEAD.items():
        if getattr(settings, key):
            yield f"{key}: Kubernetes has no such setting for a pod; {instead}"
    if settings.proxy is not None:
        yield "proxy is only for one engine: in Kubernetes, Services and Ingresses send the requests"
    if settings.restart not in ("always", "unless-stopped"):
        yield f'restart = "{settings.restart}": pods of a Deployment are always started again'
    if settings.user is not None and not _NUMBERS.fullmatch(settings.user):
        yield f"user: Kubernetes needs numbers, as 10001 or 10001:10001, not {settings.user!r}"
    for port in settings.publish:
        if port.address not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            yield f'a Service has an address of its own: write "{port.host}:{port.container}" in publish'
    for mount in settings.volumes:
        if mount.is_bind:
            yield f"volumes: {mount} is a folder of a machine; use a PersistentVolumeClaim by its name"
    yield from _folders(folders)
    yield from _gates(settings)


def _folders(folders: Iterable[Tmpfs]) -> Iterator[str]:
    owned = [str(folder) for folder in folders if {folder.uid, folder.gid, folder.mode} != {None}]
    if owned:
        yield f"tmpfs: Kubernetes sets no owner and no mode for folders in memory: {', '.join(owned)}"


def _gates(settings: RunSettings | RunSpec) -> Iterator[str]:
    """Yield problems of gates, because a container has only one startup and one readiness probe."""
    unknown = [name for name in settings.set_gates if name not in _GATES]
    if unknown:
        yield f"{', '.join(unknown)}: Kubernetes has no probe for it; write a program for health_command"
    ports = settings.health_tcp or ()
    if len(ports) > 1 or (ports and settings.health_command is not None):
        yield "health_tcp and health_command: Kubernetes asks one port or runs one command, not several"


_GATES: Final = frozenset({"health_tcp", "health_command"})
"""Gates that become a probe: see `release.deploy.targets.kubernetes.gates`."""

_INSTEAD: Final = {
    "networks": "use a NetworkPolicy",
    "pids": "the kubelet limits processes with podPidsLimit",
    "init": "put a small init process into the image",
    "stop_signal": "set STOPSIGNAL in the Dockerfile",
    "log_driver": "the node's runtime writes the logs",
    "log_options": "the node's runtime writes the logs",
}
