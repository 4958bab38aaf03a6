"""Run settings for one kind of target alone, as deployments record them."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from release.scalars import Items, Value


class SwarmSpec(Value):
    """Settings of a Swarm for the tasks of a service. `delay` and `monitor` are milliseconds.

    `reserve_memory` is bytes and `reserve_cpus` thousandths. A key that is None is not recorded.
    Keys of a later minor version of a record are kept.
    """

    model_config = ConfigDict(extra="allow")

    constraints: Items[str] = ()
    endpoint_mode: Literal["vip", "dnsrr"] = "vip"
    publish_mode: Literal["ingress", "host"] = "ingress"
    order: Literal["start-first", "stop-first"] = "start-first"
    parallelism: int = 1
    delay: int = 0
    monitor: int = 5_000
    failure_action: Literal["pause", "rollback"] = "pause"
    max_per_node: int | None = None
    reserve_memory: int | None = None
    reserve_cpus: int | None = None


class KubernetesSpec(Value):
    """Settings of a cluster for the pods of a process. `pre_stop` is milliseconds.

    `request_memory` is bytes and `request_cpus` thousandths. A key that is None is not recorded.
    Keys of a later minor version of a record are kept.
    """

    model_config = ConfigDict(extra="allow")

    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    service_account: str | None = None
    pull_secrets: Items[str] = ()
    node_selector: dict[str, str] = Field(default_factory=dict)
    max_surge: int = 1
    max_unavailable: int = 0
    pre_stop: int = 5_000
    request_memory: int | None = None
    request_cpus: int | None = None
    documents: str | None = None
    """JSON text of the objects of the team's own manifests, with the released image by digest.

    None: the objects follow from the run settings.
    """
