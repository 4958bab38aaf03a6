"""Several services of one repository: all are replaced, or all are put back."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.deploy.world import Ended, World
from tests.soak import rows

SURE = ("--yes", "--break-lock", "--message", "the laptop fell into the sea")


@dataclass
class Shop:
    """Three services in one repository; the last of them is new."""

    api: World
    pool: World
    web: World

    @property
    def every(self) -> tuple[World, World, World]:
        return self.api, self.pool, self.web

    @property
    def names(self) -> str:
        """As `--services` takes them."""
        return ",".join(each.service for each in self.every)

    def configure(self, **settings: str) -> None:
        """Write the tables of all services, and of the groups."""
        lines = ["[tool.release.smoke]", "port = 8000", 'path = "/healthz"']
        for each in self.every:
            table = f"[tool.release.services.{each.service}"
            own = {
                "publish": f'["127.0.0.1:{each.port}:8000"]',
                "health_timeout": '"20s"',
                "stop_grace": '"3s"',
                "watch": '"0s"',
            }
            lines += [f"{table}]", f"{table}.environments.production]"]
            lines += [f"{key} = {value}" for key, value in {**own, **settings}.items()]
        names = [each.service for each in self.every]
        lines += ["[tool.release.groups.shop]", f"services = {names!r}"]
        lines += ["[tool.release.groups.pair]", f"services = {names[:2]!r}"]
        (self.api.root / "pyproject.toml").write_text("\n".join(lines) + "\n")

    def invoke(self, *words: str) -> Ended:
        return self.api.invoke(*words)

    def to(self, *versions: str) -> str:
        """`--to` of these versions, in the order of the services."""
        return ",".join(
            f"{one.service}={version}" for one, version in zip(self.every, versions, strict=False)
        )

    def runs(self) -> dict[str, tuple[str, str]]:
        """The version and the state of each container, by its name."""
        states = [each for world in self.every for each in self._containers(world)]
        return {each.name: (each.labels["release.version"], each.status) for each in states}

    def _containers(self, world: World) -> list[Any]:
        found = world.engine.containers({"release.service": world.service})
        return [each for each in found if each.labels.get("release.role") in ("serving", "lock")]

    def ids(self) -> set[str]:
        return {each.id for world in self.every for each in self._containers(world)}

    def assert_runs(self, *versions: str) -> None:
        """Each runs this version under its good name, nothing else is there, and nobody complains."""
        wanted = zip(self.every, versions, strict=False)
        assert self.runs() == {one.container: (version, "running") for one, version in wanted}
        asked = ",".join(one.service for one, _ in zip(self.every, versions, strict=False))
        for status in self.invoke("status", "--services", asked, "--json").data:
            assert (status["drift"], status["leftovers"], status["lock"], status["unfinished"]) == (
                ([], [], None, None)
            )
        for one, version in zip(self.every, versions, strict=False):
            assert one.answer()["VERSION"] == version

    def statuses(self, world: World) -> list[str]:
        records = self.invoke("history", "--service", world.service, "--json", "--limit", "100").data
        return [record["status"] for record in reversed(records) if record["kind"] == "deployment"]


@pytest.fixture
def shop(tmp_path: Path, engine: Engine) -> Iterator[Shop]:
    """All have 0.1.0 and 0.2.0; web has a sick 0.3.0. Api and pool run 0.1.0, web nothing."""
    worlds = []
    for name in ("api", "pool", "web"):
        service = lab.unique(name)
        worlds.append(World(root=tmp_path / "shop", engine=engine, service=service, tags=f"{service}/v"))
    made = Shop(*worlds)
    try:
        made.configure()
        for each in worlds:
            each.release("0.1.0")
            each.release("0.2.0")
        made.web.release("0.3.0", mode="sick")
        ended = made.invoke("deploy", "--group", "pair", "--to", "0.1.0", "--yes")
        assert ended.status == 0, ended.err
        yield made
    finally:
        for each in worlds:
            each.clean()


def test_services_change_together_and_go_back_together(shop: Shop) -> None:
    """One plan with all, one result for each; the record names the group; a rollback undoes all of it."""
    shop.assert_runs("0.1.0", "0.1.0")
    refused = shop.invoke("deploy", "--group", "shop", "--yes")
    assert refused.status == 2
    assert shop.to("0.2.0", "0.2.0", "0.3.0") in refused.err
    plan = shop.invoke("deploy", "--group", "shop", "--to", "0.2.0", "--plan")
    assert all(f"deploy {one.service} in production to 0.2.0" in plan.out for one in shop.every)
    assert shop.invoke("deploy", "--group", "shop", "--to", "0.2.0").status == 2  # no terminal
    shop.assert_runs("0.1.0", "0.1.0")
    done = shop.invoke("deploy", "--group", "shop", "--to", "0.2.0", "--yes", "--json")
    assert done.status == 0, done.err
    assert all(f"{one.service}: health" in done.err for one in shop.every)
    records = done.data["deployments"]
    assert [record["service"] for record in records] == [one.service for one in shop.every]
    assert len({record["group"]["id"] for record in records}) == 1
    assert records[0]["group"]["name"] == "shop"
    shop.assert_runs("0.2.0", "0.2.0", "0.2.0")
    assert "the group shop" in shop.invoke("history", "--service", shop.api.service).out
    assert "the group shop" in shop.invoke("status", "--service", shop.web.service).out
    told = shop.invoke("history", "--group", "shop", "--json", "--limit", "3").data
    assert sorted(record["service"] for record in told) == sorted(one.service for one in shop.every)
    assert shop.api.service in shop.invoke("history", "--group", "shop").out
    pair = shop.invoke("rollback", "--group", "pair", "--to", "0.1.0", "--yes")
    assert pair.status == 0, pair.err
    assert shop.runs()[shop.api.container][0] == "0.1.0"
    words = shlex.split(pair.err.partition("to undo this: invoke ")[2].splitlines()[0])
    undone = shop.invoke(*words, "--yes")
    assert undone.status == 0, undone.err
    shop.assert_runs("0.2.0", "0.2.0", "0.2.0")
    assert shop.invoke("verify", "--ledger", "--service", shop.api.service).status == 0


def test_a_service_that_did_not_run_then_is_stopped(shop: Shop) -> None:
    """The plan names it; its containers stay, and the command that undoes all of it starts it again."""
    done = shop.invoke("deploy", "--group", "shop", "--to", "newest", "--yes")
    assert done.status == 3, done.err  # the newest of web is sick
    done = shop.invoke("deploy", "--group", "shop", "--to", "0.2.0", "--yes")
    assert done.status == 0, done.err
    plan = shop.invoke("rollback", "--group", "shop", "--plan")
    assert f"stop {shop.web.service} in production" in plan.out
    assert "it did not run at the time of the rollback" in plan.out
    back = shop.invoke("rollback", "--group", "shop", "--yes")
    assert back.status == 0, back.err
    runs = {name: (version, state) for name, (version, state) in shop.runs().items()}
    assert runs[shop.web.container] == ("0.2.0", "exited")
    assert runs[shop.api.container] == runs[shop.pool.container] == ("0.1.0", "running")
    again = shop.invoke("rollback", "--group", "shop", "--yes")
    assert again.status == 6, again.err
    assert f"no earlier deployment of {shop.names} together" in again.err
    for command in back.err.partition("to undo this: ")[2].splitlines()[0].split("; "):
        undone = shop.invoke(*shlex.split(command)[1:], "--yes")
        assert undone.status == 0, undone.err
    shop.assert_runs("0.2.0", "0.2.0", "0.2.0")


def test_who_ends_a_dead_operators_rollback_stops_what_did_not_run_then(shop: Shop) -> None:
    """The start of the rollback names it. Its end is recorded only when it is stopped."""
    assert shop.invoke("deploy", "--group", "shop", "--to", "0.2.0", "--yes").status == 0
    died = shop.api.dying("after", "start", "2", "rollback", "--group", "shop", "--yes")
    assert died.status == -signal.SIGKILL, died.err
    assert shop.web.containers()[shop.web.container] == "running"
    plan = shop.invoke("converge", "--service", shop.pool.service, "--break-lock", "--plan", "--message", "x")
    assert f"stop {shop.web.service} in production" in plan.out
    done = shop.invoke("converge", "--service", shop.pool.service, *SURE)
    assert done.status == 0, done.err
    assert f"{shop.web.service} in production 0.2.0 stopped" in done.err
    runs = shop.runs()
    assert runs[shop.web.container] == ("0.2.0", "exited")
    assert runs[shop.api.container] == runs[shop.pool.container] == ("0.1.0", "running")


def test_what_was_deployed_since_a_dead_operators_rollback_is_not_stopped(shop: Shop) -> None:
    """Another operator deployed it after the rollback began: that decision is the later one."""
    assert shop.invoke("deploy", "--group", "shop", "--to", "0.2.0", "--yes").status == 0
    died = shop.api.dying("after", "start", "2", "rollback", "--group", "shop", "--yes")
    assert died.status == -signal.SIGKILL, died.err
    assert shop.invoke("deploy", "--service", shop.web.service, "--to", "0.1.0", "--yes").status == 0
    done = shop.invoke("converge", "--service", shop.pool.service, *SURE)
    assert done.status == 0, done.err
    shop.assert_runs("0.1.0", "0.1.0", "0.1.0")


def test_one_that_fails_puts_all_back(shop: Shop) -> None:
    """The third fails: the same containers run as before, the new service is removed; each record says so."""
    before = shop.ids()
    shop.configure(health_timeout='"4s"')
    failed = shop.invoke("deploy", "--group", "shop", "--to", shop.to("0.2.0", "0.2.0", "0.3.0"), "--yes")
    assert failed.status == 3, failed.err
    assert f"{shop.web.service} was not healthy; it is deployed together with" in failed.err
    shop.assert_runs("0.1.0", "0.1.0")
    assert shop.ids() == before
    ends = [shop.statuses(one)[-1] for one in shop.every]
    assert ends == ["restored", "restored", "failed"]
    shop.configure()
    # what runs already is only verified, and is not put back
    again = shop.invoke(
        "deploy", "--services", shop.names, "--to", shop.to("0.1.0", "0.2.0", "0.1.0"), "--yes"
    )
    assert again.status == 0, again.err
    assert "healthy already" in again.out
    shop.assert_runs("0.1.0", "0.2.0", "0.1.0")


def test_a_failed_migration_names_its_service_and_those_whose_data_changed(shop: Shop) -> None:
    """Nothing is replaced in any service, and the exit code is 1."""
    before = shop.ids()
    up = ["python", "-c", "import os, sys; sys.exit(3 if os.environ['VERSION'] == '0.3.0' else 0)"]
    config = shop.api.root / "pyproject.toml"
    migrations = f"[tool.release.migrations]\npaths = ['migrations/*.sql']\nup = {json.dumps(up)}\n"
    config.write_text(config.read_text() + migrations)
    failed = shop.invoke("deploy", "--group", "shop", "--to", shop.to("0.2.0", "0.2.0", "0.3.0"), "--yes")
    assert failed.status == 1, failed.err
    error = failed.err[failed.err.index("✗ cannot") :]
    api, pool, web = (each.service for each in shop.every)
    assert error.startswith(f"✗ cannot migrate the data of {web} in production with `python -c")
    assert f": {api}: data migrated by `python -c" in error
    assert f"; then: {pool}: data migrated by `python -c" in error
    assert shop.ids() == before


def test_a_rollback_to_a_time_puts_back_each_as_it_ran(shop: Shop) -> None:
    """Each with its own release of that time; services that were not changed stay."""
    done = shop.invoke(
        "deploy", "--group", "shop", "--to", shop.to("0.1.0", "0.2.0", "0.1.0"), "--yes", "--json"
    )
    assert done.status == 0, done.err
    moment = done.data["deployments"][2]["recorded_at"]
    before = shop.runs()
    newest = shop.invoke("deploy", "--group", "shop", "--to", "0.2.0", "--yes")
    assert newest.status == 0, newest.err
    back = shop.invoke("rollback", "--group", "shop", "--to", moment, "--yes")
    assert back.status == 0, back.err
    assert shop.runs() == before
    again = shop.invoke("rollback", "--group", "shop", "--plan")  # never forward: what ran before web did
    assert f"stop {shop.web.service} in production" in again.out


def test_a_death_between_services_ends_with_all_old_or_all_new(shop: Shop) -> None:
    """After each step: locks, start's event, new containers, stops, starts, removals, names."""
    points = [
        ("after", "create", "1"),
        ("after", "create", "3"),
        ("after", "append_events", "1"),
        ("after", "start", "1"),
        ("after", "stop", "2"),
        ("before", "start", "3"),
        ("after", "start", "3"),
        ("before", "remove", "1"),
        ("after", "remove", "1"),
        ("after", "rename", "2"),
    ]
    at, target = ("0.1.0", "0.1.0", "0.1.0"), ("0.2.0", "0.2.0", "0.2.0")
    start = shop.invoke("deploy", "--group", "shop", "--to", "0.1.0", "--yes")
    assert start.status == 0, start.err
    for point in rows.sample(points, 3):
        died = shop.api.dying(*point, "deploy", "--group", "shop", "--to", target[0], "--yes")
        assert died.status == -signal.SIGKILL, (point, died.err)
        held = shop.invoke("converge", "--service", shop.api.service, "--yes")
        assert held.status == 5, (point, held.err)
        done = shop.invoke("converge", "--service", shop.api.service, *SURE)
        assert done.status == 0, (point, done.err)
        versions = {version for version, _ in shop.runs().values()}
        assert versions in ({at[0]}, {target[0]}), (point, shop.runs())
        if versions == {target[0]}:
            at, target = target, at
        shop.assert_runs(*at)


def test_two_operators_cannot_block_each_other(shop: Shop) -> None:
    """One goes through, the other is told who holds the lock; in whichever order they name the services."""
    names = shop.names.split(",")[:2]
    with shop.api.start("deploy", "--services", ",".join(names), "--to", "0.2.0", "--yes") as first:
        second = shop.invoke(
            "deploy", "--services", ",".join(reversed(names)), "--to", "0.2.0", "--yes", "--wait", "60"
        )
        first.communicate(timeout=120)
    assert {first.returncode, second.status} <= {0, 5}, second.err
    assert 0 in (first.returncode, second.status)
    shop.assert_runs("0.2.0", "0.2.0")
