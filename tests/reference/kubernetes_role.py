"""The page docs/reference/kubernetes-role.md: the least permissions of an account that deploys."""

from __future__ import annotations

from release.deploy.targets.kubernetes.role import FOR_MANIFESTS, NEEDED, WANTED, role

_PAGE = """\
# Role for deployments to Kubernetes

A Role is a list of permissions in one namespace. This one has the permissions that a deployment needs, and no
others. A test deploys with exactly this Role, and removes each permission once.
`invoke explain kubernetes-role` prints this page.

```yaml
{role}```

Apply it in the namespace of the environment, and bind it to the account:
`kubectl create rolebinding release --role=release --user=NAME`.

A deployment checks these permissions before it touches anything. It names each verb and resource that is
missing.

The last four rules can be left out. Without `pods/proxy`, only the readiness probe checks the answers of
pods, and the deployment says so. Without the others, an error has fewer details, and missing claims and
service accounts are noticed later.

## Manifests of your own

An environment with `kubernetes.manifests`, `kustomize` or `chart` also needs the rules of the kinds that the
manifests have:

```yaml
{manifests}```

Nodes and the namespace itself are outside of any Role. An account that may also `list nodes` and
`get namespaces` gets better answers: whether the platform of the image fits, which nodes have an image, and
whether the namespace exists.
"""


def page() -> str:
    """The page in Markdown."""
    return _PAGE.format(role=role((*NEEDED, *WANTED)), manifests=role(FOR_MANIFESTS).partition("rules:\n")[2])
