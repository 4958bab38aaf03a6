"""Several services of one repository in a Swarm: all are replaced, or all are put back."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

import pytest

from tests.engine import lab
from tests.lab.conftest import Make
from tests.lab.test_migrations import SURE
from tests.lab.world import SwarmWorld

pytestmark = [pytest.mark.xdist_group("swarm"), pytest.mark.timeout(400)]

STEPS: Final = (("after", "update", "1"), ("before", "append_events", "2"))
"""The first is submitted; both are proven, and nothing is kept any more."""
OWN: Final = {"publish": "", "replicas": "1", "health_command": '["test", "-f", "/tmp/well"]'}


@dataclass
class Pair:
    """Two services in one repository; both run 0.1.0."""

    api: SwarmWorld
    web: SwarmWorld

    @property
    def every(self) -> tuple[SwarmWorld, SwarmWorld]:
        return self.api, self.web

    def configure(self, **web: str) -> None:
        """Write the tables of both, and of their group."""
        lines = [f'[tool.release]\nregistry = "{self.api.machines.registry.host}"']
        lines += ["[tool.release.smoke]", "port = 8000", 'path = "/healthz"']
        for each in self.every:
            each.configure(**OWN, **(web if each is self.web else {}))
            table = f"[tool.release.services.{each.service}"
            lines += [f"{table}]", f"{table}.environments.production]"]
            lines += [f"{key} = {value}" for key, value in each.settings.items() if value]
        names = [each.service for each in self.every]
        lines += ["[tool.release.groups.pair]", f"services = {names!r}"]
        (self.api.root / "pyproject.toml").write_text("\n".join(lines) + "\n")

    def assert_runs(self, version: str) -> None:
        """Nothing but this version runs of either, and nobody complains."""
        for status in self.api.invoke("status", "--group", "pair", "--json").data:
            assert (status["drift"], status["leftovers"], status["lock"], status["unfinished"]) == (
                ([], [], None, None)
            )
        for each in self.every:
            each.settles(version, 1)


@pytest.fixture
def pair(make: Make) -> Pair:
    """The second has a 0.3.0 that is never well."""
    api = make(service=lab.unique("api"))
    web = make(service=lab.unique("web"), root=api.root)
    made = Pair(api, web)
    for each in made.every:
        each.environ |= each.machines.environ()
        each.tags = f"{each.service}/v"
    made.configure()
    for version in ("0.1.0", "0.2.0"):
        for each in made.every:
            each.release(version)
    web.release("0.3.0", mode="sick")
    ended = api.invoke("deploy", "--group", "pair", "--to", "0.1.0", "--yes", "--json")
    assert ended.status == 0, ended.err
    for record in ended.data["deployments"]:
        assert "`test -f /tmp/well` ended with status 0 in 1 of 1 tasks" in record["targets"][0]["detail"]
    return made


def test_services_change_together_or_not_at_all(pair: Pair) -> None:
    """One that fails puts both back; a rollback takes both back; a death ends with both old or both new."""
    api, web = pair.every
    pair.configure(health_timeout='"4s"')
    to = f"{api.service}=0.2.0,{web.service}=0.3.0"
    failed = api.invoke("deploy", "--group", "pair", "--to", to, "--yes")
    assert failed.status == 3, failed.err
    assert f"{web.service}: " in failed.err
    pair.assert_runs("0.1.0")
    pair.configure()
    done = api.invoke("deploy", "--group", "pair", "--to", "0.2.0", "--yes")
    assert done.status == 0, done.err
    pair.assert_runs("0.2.0")
    back = api.invoke("rollback", "--group", "pair", "--yes")
    assert back.status == 0, back.err
    pair.assert_runs("0.1.0")
    again = ("--allow-quarantined", "--thaw", "--message", "again")
    for step, version in zip(STEPS, ("0.1.0", "0.2.0"), strict=True):
        died = api.dying(*step, "deploy", "--group", "pair", "--to", "0.2.0", "--yes", *again)
        assert died.status == -signal.SIGKILL, (step, died.err)
        done = api.invoke("converge", "--service", web.service if version == "0.1.0" else api.service, *SURE)
        assert done.status == 0, (step, done.err)
        pair.assert_runs(version)
