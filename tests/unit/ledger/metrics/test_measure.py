"""What metrics are computed from, and when they are not known."""

from __future__ import annotations

import pytest

from release.ledger.metrics import releases
from release.records import Body, Record
from tests.unit.ledger.metrics.scripted import Script, find, gate, value
from tests.unit.repository import Repository

PLACE = {"environment": "production"}


@pytest.fixture
def script(here: Repository) -> Script:
    return Script(here)


def test_an_empty_ledger_gives_nothing_but_reasons(script: Script) -> None:
    """No metric is 0, and each has a reason."""
    found = script.measured("2026-10-01 00:00", "2026-11-01 00:00")
    assert {each.value for each in found.metrics} == {None}
    assert all(each.note for each in found.metrics)


def test_a_quiet_span_after_earlier_deployments_has_a_frequency_of_zero(script: Script) -> None:
    """The records exist, so 0 is known; ratios and times of nothing are not."""
    script.released("1.0.0", "2026-09-01 08:00")
    script.deployed("1.0.0", "2026-09-01 09:00", "2026-09-01 09:01")
    found = script.measured("2026-10-01 00:00", "2026-11-01 00:00")
    assert value(found, "deployment_frequency") == value(found, "rollback_frequency") == 0
    assert find(found, "change_fail_rate", **PLACE).note == "no deployment ended"
    assert find(found, "failed_deployment_recovery_time", **PLACE).note == "no deployment failed"


def test_days_before_the_first_record_are_not_counted(script: Script) -> None:
    """One deployment in the two days that are recorded, of ninety that were asked for."""
    script.released("1.0.0", "2026-10-30 00:00")
    script.deployed("1.0.0", "2026-10-30 09:00", "2026-10-30 09:01")
    assert value(script.measured("2026-08-03 00:00", "2026-11-01 00:00"), "deployment_frequency") == 0.5


def test_a_frequency_is_not_known_for_less_than_a_day(script: Script) -> None:
    """One deployment in an hour is not 24 a day."""
    script.released("1.0.0", "2026-10-30 08:00")
    script.deployed("1.0.0", "2026-10-30 09:00", "2026-10-30 09:01")
    found = script.measured("2026-10-30 08:30", "2026-10-30 09:30")
    assert find(found, "deployment_frequency", **PLACE).value is None


def test_a_deployment_belongs_to_the_span_in_which_it_started(script: Script) -> None:
    """One that ends in the span and began before it does not count; what it left is known all the same."""
    for version in ("1.0.0", "1.1.0"):
        script.released(version, "2026-10-01 08:00")
    script.deployed("1.0.0", "2026-10-02 09:00", "2026-10-02 09:01")
    script.deployed("1.1.0", "2026-10-09 23:59", "2026-10-10 00:01", "failed")
    script.deployed("1.1.0", "2026-10-11 09:00", "2026-10-11 09:01")
    found = script.measured("2026-10-10 00:00", "2026-10-20 00:00")
    assert find(found, "change_fail_rate", **PLACE).count == 1
    assert value(found, "rework_rate") == 1


def test_a_release_has_one_lead_time_in_an_environment(script: Script) -> None:
    """Its first healthy deployment counts, also if that was before the span."""
    script.released("1.0.0", "2026-10-01 08:00", committed="2026-10-01 07:00")
    script.released("1.1.0", "2026-10-12 08:00", committed="2026-10-12 07:00")
    script.deployed("1.0.0", "2026-10-02 09:00", "2026-10-02 09:01")
    script.deployed("1.1.0", "2026-10-12 08:00", "2026-10-12 09:00")
    script.deployed("1.0.0", "2026-10-13 09:00", "2026-10-13 09:01")
    script.deployed("1.1.0", "2026-10-14 09:00", "2026-10-14 09:01")
    found = find(script.measured("2026-10-10 00:00", "2026-10-20 00:00"), "lead_time", **PLACE)
    assert (found.value, found.count) == (2 * 3600, 1)


def test_a_first_deployment_that_began_before_the_span_has_no_lead_time_in_it(script: Script) -> None:
    """Nor has the next one of the same release."""
    script.released("1.0.0", "2026-10-01 08:00")
    script.deployed("1.0.0", "2026-10-02 09:00", "2026-10-02 09:01")
    script.released("1.1.0", "2026-10-09 23:00")
    script.deployed("1.1.0", "2026-10-09 23:59", "2026-10-10 00:01")
    script.deployed("1.1.0", "2026-10-11 09:00", "2026-10-11 09:01")
    found = script.measured("2026-10-10 00:00", "2026-10-20 00:00")
    assert find(found, "deployment_frequency", **PLACE).count == 1
    assert find(found, "lead_time", **PLACE).value is None


def test_a_commit_from_a_clock_that_is_ahead_has_no_lead_time(script: Script) -> None:
    """It is later than its deployment; the other release counts alone."""
    script.released("1.0.0", "2026-10-01 08:00", committed="2026-10-05 07:00")
    script.deployed("1.0.0", "2026-10-02 09:00", "2026-10-02 09:01")
    span = ("2026-10-01 00:00", "2026-10-20 00:00")
    assert find(script.measured(*span), "lead_time", **PLACE).note == (
        "the clocks of the machines contradict each other"
    )
    script.released("1.1.0", "2026-10-06 08:00", committed="2026-10-06 07:00")
    script.deployed("1.1.0", "2026-10-06 08:59", "2026-10-06 09:00")
    metric = find(script.measured(*span), "lead_time", **PLACE)
    assert (metric.value, metric.count) == (2 * 3600, 1)


def test_environments_are_measured_apart(script: Script) -> None:
    """What failed in staging did not fail in production."""
    script.released("1.0.0", "2026-10-01 08:00")
    script.deployed("1.0.0", "2026-10-02 09:00", "2026-10-02 09:01", "failed", environment="staging")
    script.deployed("1.0.0", "2026-10-03 09:00", "2026-10-03 09:01")
    found = script.measured("2026-10-01 00:00", "2026-10-20 00:00", "production", "staging")
    assert value(found, "change_fail_rate") == 0
    assert value(found, "change_fail_rate", environment="staging") == 1


def test_an_event_that_waits_for_the_git_server_counts(script: Script) -> None:
    """It is in this clone alone."""
    script.released("1.0.0", "2026-10-01 08:00")
    for status, moment in (("started", "2026-10-02 09:00"), ("healthy", "2026-10-02 09:01")):
        draft = script.event("1.0.0", "2026-10-02 09:00", moment, status)
        script.ledger.append_events([draft], publish=False)
    found = script.measured("2026-10-01 00:00", "2026-10-11 00:00")
    assert find(found, "deployment_frequency", **PLACE).count == 1


# dependency incidents


@pytest.mark.parametrize(
    ("changed", "count"), [(("uv.lock",), 1), (("uv.lock", "app.py"), 0)], ids=["lock alone", "code too"]
)
def test_an_incident_is_of_dependencies_if_only_the_lockfile_changed(
    script: Script, changed: tuple[str, ...], count: int
) -> None:
    """git compares the trees of the two commits."""
    script.released("1.0.0", "2026-10-01 08:00", changed=("app.py", "uv.lock"))
    script.released("1.0.1", "2026-10-02 08:00", lock="B", changed=changed)
    script.deployed("1.0.0", "2026-10-01 09:00", "2026-10-01 09:01")
    script.deployed("1.0.1", "2026-10-02 09:00", "2026-10-02 09:01")
    script.deployed("1.0.0", "2026-10-02 10:00", "2026-10-02 10:30", reason="rollback")
    found = script.measured("2026-10-02 00:00", "2026-10-20 00:00")
    metric = find(found, "dependency_recovery_time", **PLACE)
    assert (metric.value, metric.count) == (90 * 60 if count else None, count)


def test_a_clone_without_the_commits_does_not_know_dependency_incidents(
    script: Script, here: Repository
) -> None:
    """Neither a value nor 0: what the commits changed cannot be compared."""
    script.released("1.0.0", "2026-10-01 08:00", changed=("app.py", "uv.lock"))
    script.released("1.0.1", "2026-10-02 08:00", lock="B", changed=("uv.lock",))
    script.deployed("1.0.0", "2026-10-01 09:00", "2026-10-01 09:01")
    script.deployed("1.0.1", "2026-10-02 09:00", "2026-10-02 09:01", "restored")
    here.git("reset", "-q", "--hard", "HEAD~2")
    for name in here.refs("refs/tags"):
        here.git("update-ref", "-d", name)
    here.git("reflog", "expire", "--expire=now", "--all")
    here.git("prune", "--expire=now")
    metric = find(
        script.measured("2026-10-01 00:00", "2026-10-20 00:00"), "dependency_recovery_time", **PLACE
    )
    assert (metric.value, metric.count) == (None, None)
    assert "1 failed deployments" in metric.note


# releases


def test_stages_that_were_reused_do_not_count(script: Script) -> None:
    """Their duration is that of the earlier run."""
    old = gate("lock", "2026-10-01T07:00:00.000Z", 50, run="run-0")
    own = gate("build", "2026-10-02T07:59:00.000Z", 20)
    script.released("1.0.0", "2026-10-02 08:00", gates=[old, own])
    found = script.measured("2026-10-01 00:00", "2026-10-20 00:00")
    assert value(found, "chain_duration", period="after") == 60
    assert {each.labels.get("stage") for each in found.metrics if each.name == "stage_duration"} == {"build"}


def test_a_lock_is_as_old_as_the_first_release_in_a_row_that_has_it(script: Script) -> None:
    """One that comes back begins again; the lockfile of what runs may be older than that of the newest."""
    for day, lock in enumerate("ABAAC", 1):
        script.released(f"1.{day}.0", f"2026-10-0{day} 00:00", lock=lock)
    script.deployed("1.4.0", "2026-10-05 09:00", "2026-10-05 09:01")
    found = script.measured("2026-10-05 00:00", "2026-10-11 00:00")
    assert value(found, "lock_age") == 8 * 86_400
    assert find(found, "lock_age", **PLACE).count == 2
    assert find(found, "lock_age").value == 6 * 86_400


def test_the_age_of_a_lock_ends_the_reading_at_a_limit(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is then not known, and the metric says why."""
    monkeypatch.setattr(releases, "MOST_IN_A_ROW", 2)
    for day in (1, 2):
        script.released(f"1.{day}.0", f"2026-10-0{day} 00:00")
    span = ("2026-10-05 00:00", "2026-10-11 00:00")
    assert find(script.measured(*span), "lock_age").value == 10 * 86_400
    script.released("1.3.0", "2026-10-03 00:00")
    metric = find(script.measured(*span), "lock_age")
    assert (metric.value, metric.note) == (None, "more than 2 releases in a row have this lockfile")


def test_rebuilds_of_the_span_alone_count(script: Script) -> None:
    """The order of the ledger is not that of the times: a record may have waited."""
    script.released("1.0.0", "2026-10-01 00:00")
    script.rebuilt("1.0.0", "2026-10-02 00:00", "failed")
    script.rebuilt("1.0.0", "2026-10-12 00:00", "passed")
    script.rebuilt("1.0.0", "2026-10-03 00:00", "failed")
    found = find(script.measured("2026-10-10 00:00", "2026-10-20 00:00"), "reproducibility_rate")
    assert (found.value, found.count) == (1, 1)


def test_old_records_are_not_read(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twelve releases with deployments, those near the span and one before them."""
    days = [f"2026-{month}-{day:02d}" for month in ("01", "10") for day in range(1, 7)]
    for number, day in enumerate(days):
        version = f"1.{number}.0"
        script.released(version, f"{day} 00:00", lock=version)
        script.deployed(version, f"{day} 09:00", f"{day} 09:01")
    read: list[str] = []
    record = script.ledger.record

    def counted(name: str) -> Record[Body]:
        read.append(name)
        return record(name)

    monkeypatch.setattr(script.ledger, "record", counted)
    script.measured("2026-10-05 00:00", "2026-10-07 00:00")
    kinds = [script.ledger.record(name).envelope.kind for name in {*read}]
    # two days and two days before them, one of which may be by another clock, the one that ends the reading,
    # and the first record of all
    assert kinds.count("release") <= 7
    assert kinds.count("deployment") <= 6
