"""What controllers, scheduler and kubelets do with Deployments: one step each time that somebody looks."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.store import Store, now

JOB = "batch.kubernetes.io/job-name"
READY = {"type": "Ready", "status": "True"}
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


@dataclass
class Running:
    """Pods of the Deployments in a store. `images` says what becomes of a pod, by the digest of its image."""

    store: Store
    images: dict[str, str] = field(default_factory=dict)
    """good (absent), crash, oom, pull, unready, unschedulable, refused, other-image, wrong-answer."""
    made: int = 0
    gave_up: bool = False
    """True: each Deployment has the condition that a rollout before this one missed its deadline."""

    def step(self) -> None:
        for data in self.store.of("deployments"):
            self._deployment(data)
        for data in self.store.of("jobs"):
            self._job(data)
        self._collect()

    def is_job(self, pod: dict[str, Any]) -> bool:
        return JOB in pod["metadata"]["labels"]

    def _job(self, data: dict[str, Any]) -> None:
        """Run the command of a Job once: `sleep` never ends, `exit N` ends with a status."""
        name = data["metadata"]["name"]
        pods = [pod for pod in self.store.of("pods") if pod["metadata"]["labels"].get(JOB) == name]
        if data["spec"].get("suspend"):
            for pod in pods:
                self._end(pod)
        elif not pods:
            template = copy.deepcopy(data["spec"]["template"])
            template["metadata"]["labels"] |= {JOB: name}
            self._make(data, template, f"{name}-{self.made:05x}")
        else:
            self._command(pods[0])

    def _command(self, pod: dict[str, Any]) -> None:
        script = pod["spec"]["containers"][0]["command"][-1]
        image = pod["spec"]["containers"][0]["image"]
        ends = pod["status"].get("containerStatuses") and "sleep" not in script
        code = int(script.rpartition("exit ")[2]) if "exit " in script else 0
        state = {"terminated": {"exitCode": code}} if ends else {"running": {"startedAt": now()}}
        phase = ("Failed" if code else "Succeeded") if ends else "Running"
        changed = copy.deepcopy(pod)
        changed["status"] = _status(phase, state, image)
        self.store.put(("pods", pod["metadata"]["name"]), changed)

    def _collect(self) -> None:
        """Pods of a Deployment that is gone go, too; one that was told to go is gone a step later."""
        owners = {each["metadata"]["uid"] for kind in ("deployments", "jobs") for each in self.store.of(kind)}
        for pod in self.store.of("pods"):
            key = ("pods", pod["metadata"]["name"])
            if pod["metadata"].get("deletionTimestamp"):
                self.store.delete(key)
            elif pod["metadata"]["ownerReferences"][0]["uid"] not in owners:
                self._end(pod)

    def _end(self, pod: dict[str, Any]) -> None:
        changed = copy.deepcopy(pod)
        changed["metadata"]["deletionTimestamp"] = now()
        self.store.put(("pods", pod["metadata"]["name"]), changed)

    def _deployment(self, data: dict[str, Any]) -> None:
        spec = data["spec"]
        mark = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:10]
        pods = [pod for pod in self.store.of("pods") if self._owns(data, pod)]
        new = [pod for pod in pods if pod["metadata"]["labels"]["pod-template-hash"] == mark]
        old = [pod for pod in pods if pod not in new]
        for pod in new:
            self._kubelet(pod)
        refused = self._scale(data, new, old, mark)
        self._status(data, mark, refused)

    def _owns(self, data: dict[str, Any], pod: dict[str, Any]) -> bool:
        meta = pod["metadata"]
        return meta["ownerReferences"][0]["uid"] == data["metadata"]["uid"] and not meta.get(
            "deletionTimestamp"
        )

    def _scale(self, data: dict[str, Any], new: list[Any], old: list[Any], mark: str) -> str:
        """Make one pod, or end one, as the strategy allows; why none could be made."""
        wanted, ready = data["spec"]["replicas"], [pod for pod in new if _is_ready(pod)]
        strategy = data["spec"]["strategy"]
        rolling = strategy.get("rollingUpdate") or {"maxSurge": 0, "maxUnavailable": 0}
        surge, unavailable = rolling["maxSurge"], rolling["maxUnavailable"]
        if strategy["type"] == "Recreate" and old:
            for pod in old:
                self._end(pod)
            return ""
        for pod in new[wanted:]:
            self._end(pod)
        refused = ""
        room = 1 if strategy["type"] == "Recreate" else wanted + surge - len(new) - len(old)
        if len(new) < wanted and room > 0:
            refused = self._create(data, mark)
        can_go = len(ready) + len([pod for pod in old if _is_ready(pod)]) - wanted + unavailable
        for pod in [pod for pod in old if not _is_ready(pod)] + [pod for pod in old if _is_ready(pod)]:
            if can_go > 0 or not _is_ready(pod):
                self._end(pod)
                can_go -= _is_ready(pod)
        return refused

    def behaviour(self, pod: dict[str, Any]) -> str:
        image = pod["spec"]["containers"][0]["image"]
        return self.images.get(image.partition("@")[2], "good")

    def _create(self, data: dict[str, Any], mark: str) -> str:
        template = copy.deepcopy(data["spec"]["template"])
        self.made += 1
        name = f"{data['metadata']['name']}-{mark}-{self.made:05x}"
        template["metadata"]["labels"]["pod-template-hash"] = mark
        return self._make(data, template, name)

    def _make(self, data: dict[str, Any], template: dict[str, Any], name: str) -> str:
        """Create a pod; why that is refused."""
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": template["metadata"]
            | {
                "name": name,
                "namespace": data["metadata"]["namespace"],
                "ownerReferences": [
                    {
                        "apiVersion": "apps/v1",
                        "kind": "ReplicaSet",
                        "name": name,
                        "uid": data["metadata"]["uid"],
                    }
                ],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending", "conditions": []},
        }
        if why := self.refusal(pod):
            return why
        self.store.put(("pods", name), pod)
        return ""

    def refusal(self, pod: dict[str, Any]) -> str:
        """Why a pod is not admitted; empty: it is."""
        name, account = pod["metadata"]["name"], pod["spec"].get("serviceAccountName")
        if account and ("serviceaccounts", account) not in self.store.objects:
            return f'pods "{name}" is forbidden: error looking up service account shop/{account}: not found'
        if self.behaviour(pod) == "refused":
            return f'pods "{name}" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2'
        return ""

    def _kubelet(self, pod: dict[str, Any]) -> None:
        changed = copy.deepcopy(pod)
        changed["status"] = self._next(pod)
        for status in changed["status"]["containerStatuses"]:
            status["name"] = pod["spec"]["containers"][0]["name"]
        if changed["status"]["phase"] != "Pending" or changed["status"]["containerStatuses"]:
            changed["spec"]["nodeName"] = "node-1"
        self.store.put(("pods", pod["metadata"]["name"]), changed)

    def _next(self, pod: dict[str, Any]) -> dict[str, Any]:
        kind, status = self.behaviour(pod), pod["status"]
        states = status.get("containerStatuses") or []
        image = pod["spec"]["containers"][0]["image"]
        if kind == "unschedulable":
            why = "0/1 nodes are available: 1 Insufficient memory."
            told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
            return {"phase": "Pending", "conditions": [told], "containerStatuses": []}
        if missing := self._missing(pod):
            return _waiting("CreateContainerConfigError", f"{missing} not found", image)
        if kind == "pull":
            reason = "ImagePullBackOff" if states else "ErrImagePull"
            return _waiting(reason, f'Back-off pulling image "{image}": not found', image)
        if kind in ("crash", "oom") and states:
            reason, code = ("OOMKilled", 137) if kind == "oom" else ("Error", 1)
            ended = {"terminated": {"exitCode": code, "reason": reason}}
            waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}
            return _status("Running", waiting, image, restarts=1, last=ended)
        running = {"running": {"startedAt": now()}}
        is_ready = bool(states) and kind not in ("unready", "crash", "oom")
        digest = f"x@sha256:{'f' * 64}" if kind == "other-image" else image
        return _status("Running", running, digest, is_ready=is_ready)

    def _missing(self, pod: dict[str, Any]) -> str:
        """The first Secret or ConfigMap that the pod needs and the namespace lacks."""
        spec = pod["spec"]
        wanted = [
            ("secrets", each["secret"]["secretName"])
            for each in spec.get("volumes") or ()
            if "secret" in each
        ]
        wanted += [
            ("configmaps", each["configMap"]["name"])
            for each in spec.get("volumes") or ()
            if "configMap" in each
        ]
        wanted += [
            ("secrets", each["valueFrom"]["secretKeyRef"]["name"])
            for each in spec["containers"][0].get("env") or ()
            if "valueFrom" in each
        ]
        gone = [key for key in wanted if key not in self.store.objects]
        return f'{gone[0][0].removesuffix("s")} "{gone[0][1]}"' if gone else ""

    def _status(self, data: dict[str, Any], mark: str, refused: str) -> None:
        pods = [pod for pod in self.store.of("pods") if self._owns(data, pod)]
        new = [pod for pod in pods if pod["metadata"]["labels"]["pod-template-hash"] == mark]
        ready = sum(map(_is_ready, pods))
        told = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refused}
        changed = copy.deepcopy(self.store.objects[("deployments", data["metadata"]["name"])])
        changed["status"] = {
            "observedGeneration": data["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(new),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": [*([told] if refused else []), *([LATE] if self.gave_up else [])],
        }
        self.store.put(("deployments", data["metadata"]["name"]), changed)


def _is_ready(pod: dict[str, Any]) -> bool:
    return READY in pod["status"]["conditions"]


def _waiting(reason: str, message: str, image: str) -> dict[str, Any]:
    return _status("Pending", {"waiting": {"reason": reason, "message": message}}, image)


def _status(
    phase: str,
    state: dict[str, Any],
    image: str,
    *,
    restarts: int = 0,
    last: dict[str, Any] | None = None,
    is_ready: bool = False,
) -> dict[str, Any]:
    container = {
        "name": "service",
        "image": image,
        "imageID": "" if "waiting" in state and not last else image,
        "ready": is_ready,
        "restartCount": restarts,
        "state": state,
        **({"lastState": last} if last else {}),
    }
    scheduled = {"type": "PodScheduled", "status": "True"}
    ready = READY if is_ready else {"type": "Ready", "status": "False"}
    return {"phase": phase, "conditions": [scheduled, ready], "containerStatuses": [container]}
