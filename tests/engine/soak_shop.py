"""The shop of the examples on one engine, behind nginx."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from release.images.engine import Engine
from release.programs.process import output_of
from tests.engine import lab
from tests.engine.databases import POSTGRESQL, REDIS, databases_image
from tests.engine.deploy.traffic.edge import EXAMPLES, NGINX
from tests.engine.shop import Shop, committed, copied, releases_change_under_load, started, table_of


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Iterator[Shop]:
    """A copy of the example with the databases of the tests."""
    service = copied(tmp_path / "shop")
    network, image = lab.unique("shop"), str(databases_image(engine))
    table = table_of(service, image)
    production = table["environments"]["production"]
    production["networks"] = [network]
    production["processes"]["web"]["proxy"]["network"] = network
    committed(service, table)

    def alias(name: str) -> tuple[str, str]:
        return f"--network={network}", f"--network-alias={name}"

    with ExitStack() as stack:
        output_of(["docker", "network", "create", network])
        stack.callback(output_of, ["docker", "network", "rm", network])
        database = started(stack, engine, image, POSTGRESQL["command"], *alias("db"), "--user=postgres")
        queue = started(stack, engine, image, REDIS["command"], *alias("queue"))
        stack.callback(lab.remove_service, engine, service.name)
        text = (EXAMPLES / NGINX.file).read_text().replace("api-production", f"{service.name}-production-web")
        (tmp_path / "edge").mkdir()
        (tmp_path / "edge" / NGINX.file).write_text(text)
        options = (*NGINX.options, "--publish=127.0.0.1::8080", f"--volume={tmp_path}/edge:/etc/edge:ro")
        proxy = started(stack, engine, lab.PROXIES_IMAGE, NGINX.program, *alias("edge"), *options)
        state = engine.state(proxy)
        assert state is not None
        yield Shop(
            service=service,
            port=state.ports[8080][1],
            psql=("docker", "exec", database, "psql", "--user=postgres", "--host=127.0.0.1"),
            redis=("docker", "exec", queue, "redis-cli"),
        )


@pytest.mark.timeout(1500)
def test_no_order_is_lost_or_packed_twice_while_releases_change(shop: Shop) -> None:
    """Deploy with a migration, and roll back over it, with a queue under load."""
    releases_change_under_load(shop)
