"""Services that changed: what is due, what is told, and how the whole run ends."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import cast

import pytest

from release.chain import changed
from release.chain.assemble import Project
from release.chain.changed import ServiceChange, ServiceResult
from release.chain.plan import Options
from release.errors import Cancelled, LedgerUnreachable, ReleaseError, UsageError
from release.programs.cancellation import Cancellation


@pytest.mark.parametrize("text", ["0", "65", "-1", "x", "", "2.5", "²", "100"])
def test_jobs_is_a_number_of_programs(text: str) -> None:
    """Neither none nor hundreds."""
    with pytest.raises(UsageError):
        changed.parse_jobs(text)


def test_jobs_has_a_default() -> None:
    """So that a small runner is not overloaded."""
    assert (changed.parse_jobs(None), changed.parse_jobs("7")) == (changed.JOBS, 7)


@pytest.mark.parametrize("name", ["service", "version", "bump"])
def test_an_option_for_one_service_is_refused(name: str) -> None:
    """Each has a version of its own."""
    words = {"service": None, "version": None, "bump": None, name: "x"}
    with pytest.raises(UsageError, match=f"--{name}"):
        changed.refuse_other_options(argparse.Namespace(**words))


def test_a_service_that_cannot_be_compared_hides_no_other() -> None:
    """Its error is its result, and the plan tells it."""

    def opened(name: str) -> Project:
        if name == "api":
            raise LedgerUnreachable("read the ledger", "the git remote does not answer")
        released = SimpleNamespace(body=SimpleNamespace(version="0.2.0"))
        facts = SimpleNamespace(last=None, messages=("a", "b"), release_of_commit=released)
        return cast("Project", SimpleNamespace(refresh_ledger=lambda: None, read_facts=lambda _: facts))

    api, web = changed.compare_services(["api", "web"], opened, Options())
    assert (api.is_due, api.to_json()["error"]) == (False, "the git remote does not answer")
    assert (web.is_due, web.version, web.commits) == (True, "0.2.0", 2)
    with pytest.raises(ReleaseError, match="api: the git remote does not answer"):
        changed.raise_comparison_errors([api, web])
    changed.raise_comparison_errors([web])


def test_the_end_names_each_failure_and_no_success() -> None:
    """A run without failures raises nothing; a signal is told with what is released."""
    well = ServiceResult(service="web", status="released", version="0.2.0", reference="x@sha256:1")
    ill = ServiceResult(
        service="api", status="failed", error="the tests failed", log=".release/runs/1/api.log"
    )
    changed.raise_release_errors([well, ServiceResult(service="pool", status="unchanged")], Cancellation())
    with pytest.raises(ReleaseError) as failed:
        changed.raise_release_errors([well, ill], Cancellation())
    assert failed.value.attempted == "release 1 of 2 services"
    assert failed.value.found == "api: the tests failed"
    assert ".release/runs/1/api.log" in failed.value.hint
    stopped = Cancellation()
    stopped.request("SIGTERM arrived")
    with pytest.raises(Cancelled, match="released: web"):
        changed.raise_release_errors([well, ill], stopped)


def test_a_line_of_each_result_is_its_service_first() -> None:
    """As of a single release."""
    assert ServiceResult(service="web", status="unchanged").to_line == "web unchanged"
    well = ServiceResult(service="web", status="released", version="0.2.0", reference="x@sha256:1")
    assert well.to_line == "web 0.2.0 x@sha256:1"
    assert ServiceChange(service="web", project=None, last="0.1.0").to_json()["version"] is None
