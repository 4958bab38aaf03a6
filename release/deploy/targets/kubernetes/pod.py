"""Run settings as the template of pods. Pure: nothing is asked here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lightkube.models.core_v1 import (
    Capabilities,
    ConfigMapVolumeSource,
    Container,
    ContainerPort,
    EmptyDirVolumeSource,
    EnvVar,
    EnvVarSource,
    KeyToPath,
    Lifecycle,
    LifecycleHandler,
    LocalObjectReference,
    PersistentVolumeClaimVolumeSource,
    PodSecurityContext,
    PodSpec,
    ResourceRequirements,
    SeccompProfile,
    SecretKeySelector,
    SecretVolumeSource,
    SecurityContext,
    SleepAction,
    TopologySpreadConstraint,
    Volume,
    VolumeMount,
)
from lightkube.models.meta_v1 import LabelSelector

from release.deploy.core.image_location import image_reference
from release.deploy.core.place import SERVING, Place
from release.deploy.targets.kubernetes import gates, naming
from release.records import Image
from release.runspec import RunSpec
from release.targetspec import KubernetesSpec
from release.tmpfs import Tmpfs, texts

CONTAINER: Final = "service"
"""Name of the container in each pod."""
KEY: Final = "value"
"""The key of a Secret or ConfigMap that holds the content."""
_READABLE_BY_ALL: Final = 0o444
"""Users of images are numbers that no node knows; the file system is the pod's own."""
_ROOT: Final = 0
_GI, _MI, _KI = 1024**3, 1024**2, 1024


def pod_spec(place: Place, image: Image, spec: RunSpec) -> PodSpec:
    """Return the pod spec of one process, without labels.

    Args:
        place: with its process.
        image: as released; pods name it by digest.
        spec: the settings of the process.
    """
    cluster = spec.kubernetes or KubernetesSpec()
    mounts = list(_mounted(place, spec))
    system, architecture, *_ = [*image.platform.split("/"), "", ""]
    return PodSpec(
        containers=[_container(place, image, spec, [mount for _, mount in mounts])],
        volumes=[volume for volume, _ in mounts] or None,
        automountServiceAccountToken=cluster.service_account is not None,
        serviceAccountName=cluster.service_account,
        enableServiceLinks=False,
        imagePullSecrets=[LocalObjectReference(name=name) for name in cluster.pull_secrets] or None,
        nodeSelector={
            **cluster.node_selector,
            "kubernetes.io/os": system,
            "kubernetes.io/arch": architecture,
        },
        securityContext=PodSecurityContext(seccompProfile=SeccompProfile(type="RuntimeDefault")),
        terminationGracePeriodSeconds=-(-(spec.stop_grace + cluster.pre_stop) // 1000),
        topologySpreadConstraints=_spread(place) if spec.replicas > 1 else None,
    )


def _container(place: Place, image: Image, spec: RunSpec, mounts: list[VolumeMount]) -> Container:
    words = [literal(word) for word in spec.command or ()] or None
    is_whole = spec.entrypoint == "replace"
    return Container(
        name=CONTAINER,
        image=str(image_reference(image)),
        command=words if is_whole else None,
        args=None if is_whole else words,
        env=_variables(place, spec) or None,
        ports=_ports(spec) or None,
        lifecycle=_lifecycle(spec.kubernetes or KubernetesSpec()),
        resources=_resources(spec),
        securityContext=_security(spec),
        startupProbe=gates.startup(spec),
        readinessProbe=gates.readiness(spec),
        volumeMounts=mounts or None,
    )


def literal(text: str) -> str:
    """Return the text escaped for a cluster, which expands $(NAME) and $$."""
    return text.replace("$", "$$")


def _variables(place: Place, spec: RunSpec) -> list[EnvVar]:
    """Return the variables. A secret has priority over a plain value of its name."""
    files = spec.secret_files or {}
    plain = dict(spec.env) | {f"{name}_FILE": path for name, path in files.items() if name in spec.secrets}
    hidden = {name: mark for name, mark in spec.secrets.items() if name not in files}
    values = [EnvVar(name=name, value=literal(value)) for name, value in plain.items() if name not in hidden]
    return values + [
        EnvVar(
            name=name,
            valueFrom=EnvVarSource(
                secretKeyRef=SecretKeySelector(name=naming.secret_name(place.at(""), name, mark), key=KEY)
            ),
        )
        for name, mark in hidden.items()
    ]


def port_names(spec: RunSpec) -> dict[tuple[int, str], str]:
    """Return a name for each published port of the container, by number and protocol.

    A Service sends requests to a name, which each pod resolves by itself: so old and new pods may listen on
    different numbers.
    """
    found = dict[tuple[int, str], str]()
    for port in spec.publish:
        found.setdefault((port.container, port.protocol), f"{port.protocol}-{port.host}")
    return found


def _ports(spec: RunSpec) -> list[ContainerPort]:
    named = port_names(spec)
    numbers = set(named) | ({(spec.probe.port, "tcp")} if spec.probe is not None else set())
    return [
        ContainerPort(containerPort=port, protocol=protocol.upper(), name=named.get((port, protocol)))
        for port, protocol in sorted(numbers)
    ]


def _lifecycle(cluster: KubernetesSpec) -> Lifecycle | None:
    """Return a hook that delays a pod's stop, because Services learn later that it ends.

    `sleep` runs no program of the image (Kubernetes 1.30 and later).
    """
    seconds = -(-cluster.pre_stop // 1000)
    return Lifecycle(preStop=LifecycleHandler(sleep=SleepAction(seconds=seconds))) if seconds else None


def _resources(spec: RunSpec) -> ResourceRequirements | None:
    cluster = spec.kubernetes or KubernetesSpec()
    limits = _quantities(spec.memory, spec.cpus)
    requests = _quantities(cluster.request_memory, cluster.request_cpus)
    if not limits and not requests:
        return None
    return ResourceRequirements(limits=limits or None, requests=requests or None)


def _quantities(memory: int | None, cpus: int | None) -> dict[str, str]:
    found = {}
    if cpus is not None:
        found["cpu"] = f"{cpus // 1000}" if cpus % 1000 == 0 else f"{cpus}m"
    if memory is not None:
        found["memory"] = size(memory)
    return found


def size(number: int) -> str:
    """Return bytes in the form that an API server returns."""
    for unit, text in ((_GI, "Gi"), (_MI, "Mi"), (_KI, "Ki")):
        if number % unit == 0:
            return f"{number // unit}{text}"
    return f"{number // 1000}k" if number % 1000 == 0 else str(number)


def _security(spec: RunSpec) -> SecurityContext:
    """Return the minimal rights: no capabilities, no escalation, and not root unless set otherwise."""
    user, _, group = (spec.user or "").partition(":")
    return SecurityContext(
        allowPrivilegeEscalation=False,
        capabilities=Capabilities(drop=["ALL"], add=[_capability(name) for name in spec.cap_add] or None),
        readOnlyRootFilesystem=spec.read_only,
        runAsNonRoot=not user or int(user) != _ROOT,
        runAsUser=int(user) if user else None,
        runAsGroup=int(group) if group else None,
    )


def _capability(name: str) -> str:
    """Return the capability without its prefix, as Kubernetes writes it."""
    return name.removeprefix("CAP_")


def _spread(place: Place) -> list[TopologySpreadConstraint]:
    chosen = LabelSelector(matchLabels=naming.pod_selector(place, SERVING))
    return [
        TopologySpreadConstraint(
            maxSkew=1,
            topologyKey="kubernetes.io/hostname",
            whenUnsatisfiable="ScheduleAnyway",
            labelSelector=chosen,
        )
    ]


def _mounted(place: Place, spec: RunSpec) -> Iterator[tuple[Volume, VolumeMount]]:
    """Return the volumes with their places in the container."""
    whole = place.at("")
    for number, mount in enumerate(spec.volumes):
        name = f"volume-{number}"
        # a drill's volume has no name, and begins empty
        claim = PersistentVolumeClaimVolumeSource(claimName=mount.source) if mount.source else None
        empty = None if mount.source else EmptyDirVolumeSource()
        yield (
            Volume(name=name, persistentVolumeClaim=claim, emptyDir=empty),
            VolumeMount(name=name, mountPath=mount.target, readOnly=mount.read_only or None),
        )
    for number, text in enumerate(texts(spec.tmpfs, spec.tmpfs_options)):
        folder, name = Tmpfs.model_validate(text), f"memory-{number}"
        limit = size(folder.size) if folder.size is not None else None
        yield (
            Volume(name=name, emptyDir=EmptyDirVolumeSource(medium="Memory", sizeLimit=limit)),
            VolumeMount(name=name, mountPath=folder.path),
        )
    for number, (path, file) in enumerate((spec.files or {}).items()):
        called, name = naming.file_name(whole, path, file.sha256), f"file-{number}"
        item = KeyToPath(key=KEY, path=KEY, mode=file.mode)
        yield (
            Volume(name=name, configMap=ConfigMapVolumeSource(name=called, items=[item])),
            VolumeMount(name=name, mountPath=path, subPath=KEY, readOnly=True),
        )
    yield from _secret_files(whole, spec.secrets, spec.secret_files or {})


def _secret_files(
    place: Place, secrets: Mapping[str, str], files: Mapping[str, str]
) -> Iterator[tuple[Volume, VolumeMount]]:
    for number, (variable, path) in enumerate(files.items()):
        if variable not in secrets:
            continue
        called, name = naming.secret_name(place, variable, secrets[variable]), f"secret-{number}"
        item = KeyToPath(key=KEY, path=KEY, mode=_READABLE_BY_ALL)
        yield (
            Volume(name=name, secret=SecretVolumeSource(secretName=called, items=[item])),
            VolumeMount(name=name, mountPath=path, subPath=KEY, readOnly=True),
        )


def is_replaced_first(spec: RunSpec, *, exclusive: bool) -> bool:
    """Return whether old pods end before new ones start, as for shared volumes or exclusive processes."""
    return exclusive or any(mount.source and not mount.read_only for mount in spec.volumes)
