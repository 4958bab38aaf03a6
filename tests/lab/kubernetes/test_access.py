"""Accounts of a real cluster: the Role that is generated, and the ways in which credentials are found."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from release.config.kubernetes import Kubernetes
from release.deploy.targets.kubernetes import access
from release.deploy.targets.kubernetes.access import read_access
from release.deploy.targets.kubernetes.api import connected
from release.deploy.targets.kubernetes.preflight import Preflight
from release.deploy.targets.kubernetes.role import NEEDED, WANTED
from release.runspec import RunSpec
from tests.engine import lab
from tests.lab.kubernetes.accounts import account, grant
from tests.lab.kubernetes.world import ClusterWorld, api_server, current, kubeconfig

pytestmark = pytest.mark.timeout(400)

PLUGIN: Final = """\
#!/bin/sh
test -n "$KUBERNETES_EXEC_INFO" || exit 1
echo called >> "$(dirname "$0")/calls"
cat <<END
{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "$TOKEN"}}
END
"""


def test_with_the_generated_role_alone_everything_works(world: ClusterWorld, tmp_path: Path) -> None:
    """An account that sees neither nodes nor its namespace."""
    world.release("0.3.0", mode="crashing")
    token = account(world, (*NEEDED, *WANTED))
    world.environ["KUBECONFIG"] = str(kubeconfig(tmp_path / "config", user={"token": token}))
    world.configure(secrets='{ TOKEN = { from_env = "THE_TOKEN" } }')
    world.environ["THE_TOKEN"] = "canary"
    for version in ("0.1.0", "0.2.0"):
        world.deployed(version)
    assert world.invoke("deploy", "--to", "0.3.0", "--yes").status == 3
    assert world.drift() == []
    ran = world.invoke("run", "--message", "look", "--", "/bin/sh", "-c", "echo done")
    assert ran.out.splitlines()[-1:] == ["done"], ran.err
    for command in ("restart", "stop", "start", "drill", "rollback", "prune"):
        message = ("--message", "test") if command in ("restart", "stop", "start") else ()
        done = world.invoke(command, "--yes", *message)
        assert done.status == 0, (command, done.err)
    world.settles("0.1.0")
    found = world.invoke("doctor", "--json")
    assert "may do what deployments need" in found.out


def test_each_permission_that_is_missing_is_named(world: ClusterWorld, tmp_path: Path) -> None:
    """By the rules that the API server reports, before anything is touched."""
    token = account(world, NEEDED)
    path = kubeconfig(tmp_path / "config", user={"token": token})
    table = Kubernetes(kubeconfig=str(path), namespace=world.namespace)
    with connected(read_access(table, {})) as cluster:
        asked = Preflight(cluster=cluster)
        lab.eventually(lambda: list(asked.problems(RunSpec(), None)) == [], what="the role")
        for group, resource, verb in NEEDED:
            grant(world, (each for each in NEEDED if each != (group, resource, verb)))
            of = f" ({group})" if group else ""
            words = f"the account may not {verb} {resource}{of} in {world.namespace}: extend its Role"
            lab.eventually(partial(_says, asked, words), what=words)


def _says(asked: Preflight, words: str) -> bool:
    return list(asked.problems(RunSpec(), None)) == [words]


def test_a_deployment_without_a_permission_changes_nothing(world: ClusterWorld, tmp_path: Path) -> None:
    """Exit 2, and the missing verb is in the error."""
    world.deployed("0.1.0")
    token = account(world, (each for each in NEEDED if each != ("apps", "deployments", "patch")))
    world.environ["KUBECONFIG"] = str(kubeconfig(tmp_path / "config", user={"token": token}))
    failed = world.invoke("deploy", "--to", "0.2.0", "--yes")
    assert failed.status == 2, failed.err
    assert "the account may not patch deployments (apps)" in failed.err
    world.environ.clear()
    assert world.running() == ["0.1.0", "0.1.0"]


def test_a_credential_plugin_is_asked_once(world: ClusterWorld, tmp_path: Path) -> None:
    """And again only when its token is refused."""
    token = account(world, (*NEEDED, *WANTED))
    plugin = tmp_path / "plugin"
    plugin.write_text(PLUGIN)
    plugin.chmod(0o700)
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(plugin),
            "env": [{"name": "TOKEN", "value": token}],
            "interactiveMode": "Never",
        }
    }
    world.environ["KUBECONFIG"] = str(kubeconfig(tmp_path / "config", user=user))
    world.deployed("0.1.0")
    world.settles("0.1.0")
    assert (tmp_path / "calls").read_text().splitlines() == ["called"]


@contextmanager
def in_a_pod(
    world: ClusterWorld, token: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Files and variables that a cluster gives to a pod with a service account."""
    authority = base64.b64decode(current()["cluster"]["certificate-authority-data"]).decode()
    files = {"token": token, "namespace": world.namespace, "ca.crt": authority}
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    host, port = api_server()
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", str(folder))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
    monkeypatch.setenv("HOME", str(folder))
    yield


def test_the_service_account_of_a_pod_is_enough(
    world: ClusterWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a kubeconfig."""
    token = account(world, (*NEEDED, *WANTED))
    with in_a_pod(world, token, tmp_path / "account", monkeypatch):
        found = read_access(Kubernetes(), {})
        assert found.namespace == world.namespace
        with connected(found) as cluster:
            assert list(Preflight(cluster=cluster).problems(RunSpec(), None)) == []
