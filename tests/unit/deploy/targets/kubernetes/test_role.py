"""The Role that is written for an account: with it alone everything works, and each part of it is needed."""

from __future__ import annotations

from pathlib import Path

import yaml

from release.deploy.targets.kubernetes.role import NEEDED, WANTED, role
from tests.cluster.bench import ClusterBench
from tests.cluster.server import KINDS, VERBS
from tests.contract import FIRST, order
from tests.reference import kubernetes_role

PAGE = Path(__file__).parents[5] / "docs/reference/kubernetes-role.md"
ALLOWED = {(verb, resource) for _, resource, verb in (*NEEDED, *WANTED)}
EVERYTHING = {
    (verb, f"{resource}{part}")
    for resource in (*KINDS, "namespaces", "nodes")
    for part in ("", "/log", "/proxy")
    for verb in VERBS
}


def test_the_committed_page_has_the_role() -> None:
    """Run `nox -s docs` after a change."""
    assert PAGE.read_text(encoding="utf-8") == kubernetes_role.page()
    written = yaml.safe_load(role((*NEEDED, *WANTED)))
    assert {
        (verb, resource)
        for rule in written["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    } == ALLOWED


def test_with_this_role_alone_everything_works(bench: ClusterBench) -> None:
    """An account that sees neither nodes nor its namespace."""
    bench.cluster.forbidden = EVERYTHING - ALLOWED
    for version in ("0.1.0", "0.2.0"):
        assert bench.run("deploy", "--to", version, "--yes")[0] == 0, bench.said
    assert bench.run("deploy", "--to", "0.3.0", "--yes")[0] == 3
    assert bench.run("status")[1]["drift"] == []
    assert bench.run("restart", "--yes", "--message", "test")[0] == 0, bench.said
    assert bench.run("stop", "--yes", "--message", "test")[0] == 0, bench.said
    assert bench.run("start", "--yes", "--message", "test")[0] == 0, bench.said
    assert bench.run("drill", "--yes")[0] == 0, bench.said
    assert bench.run("rollback", "--yes")[0] == 0, bench.said
    assert bench.run("prune", "--yes")[0] == 0, bench.said
    assert bench.run("status")[1]["running"]["version"] == "0.1.0"


def test_each_permission_that_is_missing_is_named(place: ClusterBench) -> None:
    """Before anything is touched."""
    with place.live() as live:
        spec = order(live, "0.1.0", FIRST).spec
        for group, resource, verb in NEEDED:
            place.cluster.forbidden = {(verb, resource)}
            (problem,) = live.target.rollouts.settings_problems(spec)
            of = f" ({group})" if group else ""
            assert problem.message == f"the account may not {verb} {resource}{of} in shop: extend its Role"
