"""The API server itself. It refuses what it does not expect.

Requests that a real server would take with other words are an error here: an unknown path, query or content
type, a field that the schema does not have, a replacement without `resourceVersion`.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lightkube.resources import apps_v1, batch_v1, coordination_v1, core_v1, policy_v1

from tests.cluster import rules
from tests.cluster.fields import Conflict, Managers
from tests.cluster.running import Running
from tests.cluster.store import Store

NAMESPACE = "shop"
TOKEN = "token-of-ada"
KINDS: dict[str, tuple[str, str, Any]] = {
    "deployments": ("apps/v1", "Deployment", apps_v1.Deployment),
    "services": ("v1", "Service", core_v1.Service),
    "poddisruptionbudgets": ("policy/v1", "PodDisruptionBudget", policy_v1.PodDisruptionBudget),
    "configmaps": ("v1", "ConfigMap", core_v1.ConfigMap),
    "secrets": ("v1", "Secret", core_v1.Secret),
    "leases": ("coordination.k8s.io/v1", "Lease", coordination_v1.Lease),
    "jobs": ("batch/v1", "Job", batch_v1.Job),
    "pods": ("v1", "Pod", core_v1.Pod),
    "events": ("v1", "Event", core_v1.Event),
    "serviceaccounts": ("v1", "ServiceAccount", core_v1.ServiceAccount),
    "persistentvolumeclaims": ("v1", "PersistentVolumeClaim", core_v1.PersistentVolumeClaim),
}
PATH = re.compile(
    r"/(?:api|apis/([a-z0-9.]+))/(v1)(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+)(?:/([a-z]+)(/.*)?)?)?"
)
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
_QUERIES = {
    "PATCH": {"fieldManager", "dryRun", "force"},
    "POST": {"fieldManager", "dryRun"},
    "PUT": {"fieldManager", "dryRun"},
    "DELETE": {"propagationPolicy"},
    "GET": {
        *(
            "labelSelector",
            "fieldSelector",
            "limit",
            "continue",
            "watch",
            "resourceVersion",
            "timeoutSeconds",
        ),
        *("tailLines", "timestamps", "sinceSeconds", "follow"),
    },
}


class Answer(Exception):
    """An answer of the server that is a Status."""

    def __init__(
        self, code: int, reason: str, message: str, causes: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.body = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "code": code,
            "reason": reason,
            "message": message,
            **({"details": {"causes": causes}} if causes else {}),
        }


@dataclass(frozen=True)
class Request:
    """One request."""

    method: str
    group: str
    resource: str
    name: str
    part: str
    rest: str
    query: dict[str, str]
    content: str
    body: Any


@dataclass
class ClusterServer:
    """A namespace `shop`, and one account that may do everything but what is in `forbidden`."""

    store: Store = field(default_factory=Store)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    """Verbs and resources that the role lacks, as ("get", "pods/proxy")."""
    webhook: Callable[[dict[str, Any]], str] = lambda _: ""
    """Admission: why an object is refused; empty: it is not."""
    images: list[str] = field(default_factory=list)
    """Images of the node, as "repository@digest"."""
    storage_classes: set[str] = field(default_factory=lambda: {"standard"})
    away: int = 0
    """So many requests are answered with 503."""
    before: Callable[[Request], None] = lambda _: None
    """Called before each request; may raise."""
    log: list[str] = field(default_factory=list)
    """Method and path of each request."""
    url: str = ""
    token: str = TOKEN

    def __post_init__(self) -> None:
        self.running = Running(self.store)
        self.lock = threading.RLock()

    # what a test does to the cluster

    def reset(self) -> None:
        """Forget every object, and everything that a test set."""
        with self.lock:
            self.store = Store()
            self.running = Running(self.store)
            self.forbidden, self.webhook, self.away = set(), lambda _: "", 0
            self.before = lambda _: None
            self.log.clear()

    def change(
        self, resource: str, name: str, change: Callable[[dict[str, Any]], None], manager: str
    ) -> None:
        """Change an object as another program does, with an update."""
        with self.lock:
            key = (resource, name)
            changed = copy.deepcopy(self.store.objects[key])
            change(changed)
            subresource = "scale" if manager in ("kube-controller-manager", "kubectl-scale") else ""
            self.store.managers[key].update(self.store.objects[key], changed, manager, subresource)
            self.store.put(key, changed)

    def names(self, resource: str) -> list[str]:
        """Names of the objects of a kind."""
        return [each["metadata"]["name"] for each in self.store.of(resource)]

    def settle(self) -> None:
        """Let the cluster finish what it does."""
        with self.lock:
            for _ in range(30):
                self.running.step()

    # requests

    def answer(self, request: Request) -> tuple[int, str, bytes]:
        """Return status, content type and body."""
        if self.away:
            self.away -= 1
            raise Answer(503, "ServiceUnavailable", "the server is starting")
        self.before(request)
        unknown = set(request.query) - _QUERIES[request.method]
        if unknown:
            raise Answer(400, "BadRequest", f"unknown query {unknown}")
        if request.resource == "selfsubjectaccessreviews":
            return self._review(request)
        if request.resource == "selfsubjectrulesreviews":
            return self._json({**request.body, "status": self._rules()}, 201)
        verb = self._verb(request)
        self._authorize(verb, request)
        if request.part:
            return self._part(request)
        if request.resource in ("namespaces", "nodes", "storageclasses"):
            return self._of_the_cluster(request)
        if KINDS[request.resource][0] != (f"{request.group}/v1" if request.group else "v1"):
            raise Answer(404, "NotFound", f"the server has no {request.resource} in {request.group}")
        return getattr(self, f"_{verb}")(request)  # type: ignore[no-any-return]

    def _of_the_cluster(self, request: Request) -> tuple[int, str, bytes]:
        """Objects without a namespace."""
        if request.resource == "nodes":
            return self._json(
                {"apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": [self._node()]}
            )
        if request.resource == "storageclasses":
            if request.name not in self.storage_classes:
                raise Answer(404, "NotFound", f'storageclasses.storage.k8s.io "{request.name}" not found')
            return self._json(_STORAGE_CLASS | {"metadata": {"name": request.name}})
        if request.method != "GET":
            return self._json(request.body or {"kind": "Status", "apiVersion": "v1"}, 201)
        return self._json({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    @staticmethod
    def _verb(request: Request) -> str:
        if request.method == "GET":
            named = "get" if request.name else "list"
            return "watch" if request.query.get("watch") else named
        return {"PATCH": "patch", "POST": "create", "PUT": "update", "DELETE": "delete"}[request.method]

    def _may(self, verb: str, resource: str) -> bool:
        return (verb, resource) not in self.forbidden

    def _authorize(self, verb: str, request: Request) -> None:
        resource = f"{request.resource}/{request.part}" if request.part else request.resource
        if not self._may(verb, resource):
            message = (
                f'{resource} is forbidden: User "ada" cannot {verb} resource "{resource}" in API group '
                f'"{request.group}" in the namespace "{NAMESPACE}"'
            )
            raise Answer(403, "Forbidden", message)

    def _rules(self) -> dict[str, Any]:
        """One rule for each verb and resource that the role has."""
        allowed = [
            {
                "verbs": [verb],
                "apiGroups": [KINDS[resource][0].rpartition("/")[0]],
                "resources": [f"{resource}{part}"],
            }
            for resource in KINDS
            for part in (("", "/log", "/proxy") if resource == "pods" else ("",))
            for verb in VERBS
            if self._may(verb, f"{resource}{part}")
        ]
        return {"resourceRules": allowed, "nonResourceRules": [], "incomplete": False}

    def _review(self, request: Request) -> tuple[int, str, bytes]:
        asked = request.body["spec"]["resourceAttributes"]
        part = f"/{asked['subresource']}" if asked.get("subresource") else ""
        allowed = self._may(asked["verb"], f"{asked['resource']}{part}")
        return self._json({**request.body, "status": {"allowed": allowed}}, 201)

    def _node(self) -> dict[str, Any]:
        """The one node, with the images that it has."""
        images = [{"names": [name], "sizeBytes": 1} for name in self.images]
        return {**_NODE, "status": {**_NODE["status"], "images": images}}

    def _part(self, request: Request) -> tuple[int, str, bytes]:
        """The log of a pod, or an answer of its service."""
        name, _, port = request.name.partition(":")
        pod = self._found("pods", name)
        kind = self.running.behaviour(pod)
        if request.part == "log":
            if self.running.is_job(pod):
                stamp = "2026-11-20T10:00:00.500000000Z " if request.query.get("timestamps") == "true" else ""
                return 200, "text/plain", f"{stamp}done\n".encode()
            lines = ["2026-11-20T10:00:00.5Z starting", f"2026-11-20T10:00:01.5Z it is {kind}"]
            plain = (
                lines
                if request.query.get("timestamps") == "true"
                else [each.partition(" ")[2] for each in lines]
            )
            return 200, "text/plain", "\n".join(plain).encode() + b"\n"
        ports = [each["containerPort"] for each in pod["spec"]["containers"][0].get("ports") or ()]
        if request.part != "proxy" or int(port) not in ports:
            raise Answer(503, "ServiceUnavailable", f"no service listens on {port}")
        return (500 if kind == "wrong-answer" else 200), "text/plain", b"ok"

    def _found(self, resource: str, name: str) -> dict[str, Any]:
        if (resource, name) not in self.store.objects:
            raise Answer(404, "NotFound", f'{resource} "{name}" not found')
        return self.store.objects[(resource, name)]

    def _get(self, request: Request) -> tuple[int, str, bytes]:
        return self._json(self._found(request.resource, request.name))

    def _list(self, request: Request) -> tuple[int, str, bytes]:
        if request.resource == "pods":
            self.running.step()
        kind = KINDS[request.resource]
        items = [each for each in self.store.of(request.resource) if _selected(each, request.query)]
        meta = {"resourceVersion": str(self.store.version)}
        return self._json({"apiVersion": kind[0], "kind": f"{kind[1]}List", "metadata": meta, "items": items})

    def _watch(self, request: Request) -> tuple[int, str, bytes]:
        """What changed since; a watch of this server ends at once, where a real one waits."""
        since = int(request.query["resourceVersion"])
        self.running.step()
        told = [
            json.dumps({"type": kind, "object": data})
            for version, kind, key, data in self.store.events
            if version > since and key[0] == request.resource and _selected(data, request.query)
        ]
        return 200, "application/json", "".join(f"{line}\n" for line in told).encode()

    def _create(self, request: Request) -> tuple[int, str, bytes]:
        data = self._admitted(request)
        if "generateName" in data["metadata"]:
            data["metadata"].setdefault("name", f"{data['metadata'].pop('generateName')}x7x7x")
        key = (request.resource, data["metadata"]["name"])
        if request.resource == "pods" and (why := self.running.refusal(data)):
            raise Answer(403, "Forbidden", why)
        if request.query.get("dryRun") == "All":
            return self._json(data, 201)
        if key in self.store.objects:
            raise Answer(409, "AlreadyExists", f'{request.resource} "{key[1]}" already exists')
        managers = self.store.managers.setdefault(key, Managers())
        managers.update({}, rules.defaulted(data), request.query.get("fieldManager", "unknown"))
        return self._json(self.store.put(key, data), 201)

    def _update(self, request: Request) -> tuple[int, str, bytes]:
        data, there = self._admitted(request), self._found(request.resource, request.name)
        given = data["metadata"].get("resourceVersion")
        if not given:
            raise Answer(422, "Invalid", "metadata.resourceVersion: must be specified for an update")
        uid = data["metadata"].get("uid", there["metadata"]["uid"])
        if (given, uid) != (there["metadata"]["resourceVersion"], there["metadata"]["uid"]):
            raise Answer(
                409, "Conflict", "the object has been modified; apply your changes to the latest version"
            )
        return self._json(self.store.put((request.resource, request.name), data))

    def _patch(self, request: Request) -> tuple[int, str, bytes]:
        """Server-side apply alone."""
        if request.content != "application/apply-patch+yaml" or not request.query.get("fieldManager"):
            raise Answer(415, "UnsupportedMediaType", "only server-side apply with a field manager")
        data, key = self._admitted(request), (request.resource, request.name)
        if "managedFields" in data["metadata"] or "resourceVersion" in data["metadata"]:
            raise Answer(400, "BadRequest", "metadata.managedFields must be nil")
        live = self.store.objects.get(key) or {}
        is_trial = request.query.get("dryRun") == "All"
        before = copy.deepcopy(self.store.managers.get(key, Managers()))
        managers = copy.deepcopy(before)
        try:
            made = managers.apply(
                live, data, request.query["fieldManager"], force=request.query.get("force") == "true"
            )
        except Conflict as error:
            causes = [
                {"reason": "FieldManagerConflict", "field": f".{name}", "message": f'conflict with "{who}"'}
                for name, who in error.found
            ]
            raise Answer(409, "Conflict", "Apply failed with conflicts", causes) from error
        rules.check_fields(made, KINDS[request.resource][2])
        self.store.managers[key] = managers
        if not is_trial:
            return self._json(self.store.put(key, made))
        try:
            return self._json(self.store.prepared(key, made))
        finally:
            self.store.managers[key] = before

    def _admitted(self, request: Request) -> dict[str, Any]:
        """The object of a request, if schema and webhook take it."""
        version, kind, model = KINDS[request.resource]
        data = copy.deepcopy(request.body)
        if (data.get("apiVersion"), data.get("kind")) != (version, kind):
            raise Answer(400, "BadRequest", f"the object is no {version} {kind}")
        if request.method != "PATCH":
            rules.check_fields(data, model)
        data["metadata"].setdefault("namespace", NAMESPACE)
        if why := self.webhook(data):
            raise Answer(
                400, "BadRequest", f'admission webhook "policy.example.org" denied the request: {why}'
            )
        return data  # type: ignore[no-any-return]

    def _delete(self, request: Request) -> tuple[int, str, bytes]:
        self._found(request.resource, request.name)
        self.store.delete((request.resource, request.name))
        return self._json({"apiVersion": "v1", "kind": "Status", "status": "Success"})

    @staticmethod
    def _json(data: Any, status: int = 200) -> tuple[int, str, bytes]:
        return status, "application/json", json.dumps(data).encode()


_NODE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-1"},
    "spec": {},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {
            **dict.fromkeys(("bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion"), "x"),
            **dict.fromkeys(("kubeletVersion", "machineID", "osImage", "systemUUID"), "x"),
            "architecture": "amd64",
            "operatingSystem": "linux",
        },
    },
}


_STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "provisioner": "disk.example.org",
}


def _selected(data: dict[str, Any], query: dict[str, str]) -> bool:
    labels = data["metadata"].get("labels") or {}
    wanted = [part.partition("=") for part in query.get("labelSelector", "").split(",") if part]
    return all(labels.get(key) == value for key, _, value in wanted)
