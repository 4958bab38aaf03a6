"""The shop of the examples on two nodes of a Swarm, behind nginx, with its databases beside the Swarm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from release.images.engine import Engine
from release.images.trust import ENGINE_FOLDER
from tests.engine import lab
from tests.engine.databases import POSTGRESQL, REDIS, databases_image
from tests.engine.shop import Shop, committed, copied, releases_change_under_load, started, table_of
from tests.lab.machines import Machine, Machines

pytestmark = [pytest.mark.xdist_group("swarm"), pytest.mark.timeout(1500)]

_NGINX: Final = """\
daemon off;
events {{}}
http {{
    access_log off;
    error_log stderr warn;
    upstream web {{
        server {0} max_fails=0;  # a task that is replaced refuses: the next one is asked
        server {1} max_fails=0;
    }}
    proxy_connect_timeout 2s;
    proxy_next_upstream error timeout non_idempotent;  # a stopping task may accept no more
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://web;
        }}
    }}
}}
"""
_ASK: Final = "import urllib.request as request; request.urlopen('http://127.0.0.1:8000/healthz')"
_SERVE: Final = (
    "gunicorn --bind=0.0.0.0:8000 --workers=2 --worker-tmp-dir=/tmp shop.wsgi & "
    "trap 'kill -TERM $!' TERM; wait $!; wait $!; sleep 1"
)
"""Its network stays for a second after the last answer, which otherwise may be lost on its way."""
_LABEL: Final = "shop=yes"


@pytest.fixture
def shop(tmp_path: Path, lab_machines: Machines) -> Iterator[Shop]:
    """A copy of the example in the lab's registry, which this machine's engine trusts meanwhile."""
    nodes = lab_machines.machines[:2]
    with Engine.connect() as engine, ExitStack() as stack:
        trusted(stack, lab_machines)
        image = str(databases_image(engine))
        bridge = lab_machines.registry.host.partition(":")[0]
        sql, redis, edge, web = (lab.free_port() for _ in range(4))
        server = [
            *POSTGRESQL["command"][:3],
            "-k",
            "/tmp",
            "-c",
            f"listen_addresses={bridge}",
            "-p",
            str(sql),
        ]
        database = started(stack, engine, image, server, "--network=host", "--user=postgres")
        queue = started(
            *(stack, engine, image, [*REDIS["command"], "--bind", bridge, "--port", str(redis)]),
            "--network=host",
        )
        text = _NGINX.format(*(f"{node.address}:{web}" for node in nodes), port=edge)
        (tmp_path / "nginx.conf").write_text(text)
        nginx = ("nginx", "-c", "/etc/edge/nginx.conf")
        started(
            stack, engine, lab.PROXIES_IMAGE, nginx, "--network=host", f"--volume={tmp_path}:/etc/edge:ro"
        )
        service = copied(tmp_path / "shop", DOCKER_CONFIG=lab_machines.environ()["DOCKER_CONFIG"])
        stack.callback(lab.remove_service, engine, service.name)
        labelled(stack, lab_machines.manager, nodes)
        table = table_of(service, image)
        table["registry"] = lab_machines.registry.host
        for smoke in ("web", "worker"):  # the nodes run the shop on the same processors meanwhile
            table["smoke"]["processes"][smoke]["timeout"] = "4m"
        addresses = {
            "DATABASE_URL": f"postgresql://postgres@{bridge}:{sql}/postgres",
            "REDIS_URL": f"redis://{bridge}:{redis}",
        }
        table["environments"]["production"] |= on_two_nodes(lab_machines, addresses)
        web_process(table["environments"]["production"]["processes"]["web"], web)
        committed(service, table)
        stack.callback(cleaned, lab_machines.manager, service.name)
        asking = ("docker", "exec", database, "psql", "--user=postgres", f"--host={bridge}", f"--port={sql}")
        yield Shop(
            service=service,
            port=edge,
            psql=asking,
            redis=("docker", "exec", queue, "redis-cli", "-h", bridge, "-p", str(redis)),
            hosts=tuple(machine.host for machine in lab_machines.machines),
        )


def trusted(stack: ExitStack, machines: Machines) -> None:
    """Let this machine's engine push into the lab's registry (Docker, "Verify repository client")."""
    certificate = machines.registry.certificate
    assert certificate is not None
    folder = ENGINE_FOLDER / machines.registry.host
    folder.mkdir(parents=True)
    stack.callback(shutil.rmtree, folder)
    shutil.copy(certificate.certificate, folder / "ca.crt")


def labelled(stack: ExitStack, manager: Machine, nodes: tuple[Machine, ...]) -> None:
    """Mark the nodes on which the shop runs."""
    for node in nodes:
        known = node.docker("info", "--format", "{{.Swarm.NodeID}}")
        manager.docker("node", "update", "--label-add", _LABEL, known)
        stack.callback(manager.docker, "node", "update", "--label-rm", _LABEL.partition("=")[0], known)


def on_two_nodes(machines: Machines, env: dict[str, str]) -> dict[str, Any]:
    """Settings of the environment."""
    return {
        "engine": "swarm",
        "host": machines.manager.host,
        "networks": [],
        "env": env,
        "watch": "1s",
        "stop_grace": "1m",  # of the smoke run, too: all share two processors
        "swarm": {
            "publish_mode": "host",
            "parallelism": 1,
            "monitor": "1s",
            "constraints": [f"node.labels.{_LABEL.replace('=', '==')}"],
            "nodes": {machine.address: {"host": machine.host} for machine in machines.machines},
        },
    }


def web_process(table: dict[str, Any], port: int) -> None:
    """A task on each node, with the node's port; the next one is replaced when the first is healthy."""
    table.clear()
    table |= {
        "command": ["sh", "-c", _SERVE],
        "publish": [f"{port}:8000"],
        "replicas": 2,
        "healthcheck": {"command": ["python", "-c", _ASK], "interval": "1s", "start_period": "30s"},
    }


def cleaned(manager: Machine, service: str) -> None:
    """Take away what the shop left in the Swarm."""
    chosen = f"label=release.service={service}"
    for kind in ("service", "secret", "config"):
        if left := manager.docker(kind, "ls", "--quiet", "--filter", chosen).split():
            manager.docker(kind, "rm", *left)


def test_no_order_is_lost_or_packed_twice_while_releases_change(shop: Shop) -> None:
    """Deploy with a migration, and roll back over it, with a queue under load."""
    releases_change_under_load(shop)
