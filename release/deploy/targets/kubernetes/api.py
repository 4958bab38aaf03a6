"""A namespace of a cluster: the few requests that this library makes, with its own errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

import httpx2
from lightkube import Client
from lightkube.config import client_adapter, models
from lightkube.config.kubeconfig import SingleConfig
from lightkube.core.resource import NamespacedResource
from lightkube.models.authorization_v1 import (
    ResourceAttributes,
    SelfSubjectAccessReviewSpec,
    SelfSubjectRulesReviewSpec,
)
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.authorization_v1 import SelfSubjectAccessReview, SelfSubjectRulesReview
from lightkube.resources.core_v1 import Namespace, Node
from lightkube.resources.storage_v1 import StorageClass
from lightkube.types import CascadeType, PatchType

from release.deploy.targets.kubernetes.access import Access
from release.deploy.targets.kubernetes.faults import Missing, translated
from release.deploy.targets.kubernetes.kinds import KINDS, Document, key_of, kind_of, label, name_of
from release.deploy.targets.kubernetes.pod_requests import PodRequests
from release.deploy.targets.kubernetes.transport import ClusterTransport
from release.programs.environment import EVERYTHING
from release.programs.process import Command

MANAGER: Final = "release"
"""The field manager of everything that a deployment applies."""
_SECONDS: Final = 15.0
_MOST: Final = 500
"""Objects in one page of a list."""

R = TypeVar("R", bound=NamespacedResource)


class Cluster:
    """Requests to one namespace. Every method raises EngineError, EngineUnreachable."""

    def __init__(self, access: Access, transport: ClusterTransport) -> None:
        """Prepare the client; no request is sent yet."""
        self._access = access
        self._transport = transport
        timeout = httpx2.Timeout(_SECONDS)
        config = _without_authority(access.config)
        self._client = Client(
            config=config,
            namespace=access.namespace,
            timeout=timeout,
            field_manager=MANAGER,
            trust_env=False,
            transport=transport,
        )
        asked = client_adapter.ConnectionParams(timeout=timeout, trust_env=False, transport=transport)
        self._plain = client_adapter.Client(config, asked)
        self.pods = PodRequests(self._client, self._plain, access.namespace)

    @property
    def name(self) -> str:
        """Return the address and the namespace."""
        return str(self._access)

    @property
    def namespace(self) -> str:
        """Return the namespace."""
        return self._access.namespace

    @property
    def clock_ahead(self) -> int:
        """Return the milliseconds that the server's clock is ahead, by its last answer."""
        return self._transport.clock_ahead

    def get(self, kind: type[R], name: str) -> R | None:
        """Return an object; None if there is none."""
        with suppress(Missing), translated(f"read the {label(kind)} {name}"):
            return self._client.get(kind, name)
        return None

    def every(
        self, kind: type[R], labels: Mapping[str, str], fields: Mapping[str, str] | None = None
    ) -> list[R]:
        """Return the objects with these labels and fields, by name."""
        with translated(f"list {label(kind)}s in {self.namespace}"):
            found = list(
                self._client.list(kind, labels=dict(labels), fields=dict(fields or {}), chunk_size=_MOST)
            )
        return sorted(found, key=name_of)

    def nodes(self) -> list[Node]:
        """Return the nodes. Raises Forbidden, because many roles may not list them."""
        with translated("list nodes"):
            return list(self._client.list(Node, chunk_size=_MOST))

    def has(self, kind: type[Namespace | StorageClass], name: str) -> bool:
        """Return whether an object of the whole cluster exists. Raises Forbidden."""
        with suppress(Missing), translated(f"read the {label(kind)} {name}"):
            self._client.get(kind, name)
            return True
        return False

    def apply(
        self, document: Document, *, is_trial: bool = False, force: bool = False, manager: str = MANAGER
    ) -> object:
        """Apply a document as field manager; return the object, or the trial's result. Raises Conflicts."""
        kind, (_, name) = kind_of(document), key_of(document)
        with translated(f"apply the {label(kind)} {name}"):
            return self._client.patch(
                kind,
                name,
                document,
                patch_type=PatchType.APPLY,
                force=force,
                dry_run=is_trial,
                field_manager=manager,
            )

    def create(self, made: R, *, is_trial: bool = False) -> R:
        """Create an object, or only let the server check it. Raises NameTaken, Forbidden."""
        name = name_of(made)
        with translated(f"create the {label(type(made))} {name}".rstrip()):
            return self._client.create(made, dry_run=is_trial)

    def replace(self, changed: R) -> R:
        """Replace an object that was read before. Raises Outdated if it changed since."""
        name = name_of(changed)
        with translated(f"replace the {label(type(changed))} {name}"):
            return self._client.replace(changed)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object and its dependents, if it exists."""
        with suppress(Missing), translated(f"delete the {label(KINDS[kind])} {name}"):
            self._client.delete(KINDS[kind], name, cascade=CascadeType.BACKGROUND)

    def may(self, verb: str, group: str, resource: str, subresource: str = "") -> bool:
        """Return whether this account may do this in the namespace."""
        asked = SelfSubjectAccessReview(
            metadata=ObjectMeta(),
            spec=SelfSubjectAccessReviewSpec(
                resourceAttributes=ResourceAttributes(
                    namespace=self.namespace,
                    verb=verb,
                    group=group,
                    resource=resource,
                    subresource=subresource,
                )
            ),
        )
        with translated("ask the API server for permissions"):
            told = self._client.create(asked)
        return bool(told.status and told.status.allowed)

    def rules(self) -> list[tuple[set[str], set[str], set[str]]]:
        """Return the account's permissions: verbs, groups and resources, each possibly "*".

        The list may lack permissions of authorizers other than RBAC: `may` decides.
        """
        asked = SelfSubjectRulesReview(
            metadata=ObjectMeta(), spec=SelfSubjectRulesReviewSpec(namespace=self.namespace)
        )
        with translated("ask the API server for permissions"):
            told = self._client.create(asked)
        found = (told.status.resourceRules if told.status is not None else None) or []
        return [
            (set(each.verbs), set(each.apiGroups or ()), set(each.resources or ()))
            for each in found
            if not each.resourceNames
        ]

    def kubectl(self, *words: str) -> Command:
        """Return the kubectl command with the same access."""
        argv = ("kubectl", *self._access.options, f"--namespace={self.namespace}", *words)
        return Command(argv=argv, inherits=EVERYTHING)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._plain.close()


def _without_authority(config: SingleConfig) -> SingleConfig:
    """Return the access without certificates, which the transport has already."""
    user = config.user or models.User()
    return config._replace(
        cluster=models.Cluster(server=config.cluster.server, insecure=True),
        user=models.User(
            token=user.token, token_file=user.token_file, username=user.username, password=user.password
        ),
    )


@contextmanager
def connected(access: Access, inner: httpx2.BaseTransport | None = None) -> Iterator[Cluster]:
    """Yield the cluster, connected while the block runs."""
    with translated(f"connect to {access}"):
        cluster = Cluster(access, ClusterTransport(access, inner))
    try:
        yield cluster
    finally:
        cluster.close()
