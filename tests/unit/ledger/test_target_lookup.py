"""Targets that are times, quarantines, conflicts between readings; and any history against a simple model."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.errors import TargetUnavailable, UsageError
from release.ledger import query
from release.ledger.store import Ledger
from release.ledger.time_parsing import Clock
from release.records import Body, Deployment, Draft, Record, Release, TargetState
from release.values import replace
from tests.unit.ledger import samples
from tests.unit.ledger.samples import digits, event, quarantine, release
from tests.unit.repository import Repository

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def find(
    ledger: Ledger, target: str, *, zone: tzinfo = UTC, environment: str | None = "production"
) -> query.Found:
    clock = Clock(now=NOW, zone=zone)
    return query.find(ledger, "api", target, environment=environment, clock=clock)


def version(ledger: Ledger, target: str, *, zone: tzinfo = UTC) -> str:
    return find(ledger, target, zone=zone).release.body.version


def at(of: Record[Body], moment: str, status: str = "healthy", *, name: str | None = None) -> Draft[Body]:
    """An event at a moment of UTC, as 2026-11-20T12:00."""
    return event(of, status, deployment=name or moment, at=f"{moment}:00.000Z")


def restored(of: Record[Body], moment: str, back: Record[Body]) -> Draft[Body]:
    """An attempt that failed, after which another release was proven to run again."""
    draft = at(of, moment, "restored")
    assert isinstance(draft.body, Deployment)
    assert isinstance(back.body, Release)
    state = TargetState(name="engine", status="restored", digest=back.body.image.digest)
    return replace(draft, body=draft.body.model_copy(update={"targets": (state,)}))


@pytest.fixture
def ledger(here: Repository) -> Ledger:
    return samples.ledger(here.root)


# times


def test_a_time_means_what_ran_verified_healthy_then(ledger: Ledger) -> None:
    """Started, failed, restored and mixed attempts in between do not count."""
    one, two, bad = ledger.append([release("1.0.0"), release("1.1.0"), release("2.0.0")])
    ledger.append([at(one, "2026-11-20T10:00"), at(bad, "2026-11-20T11:00", "started")])
    ledger.append([at(bad, "2026-11-20T11:05", "failed"), at(two, "2026-11-20T12:00")])
    ledger.append([at(bad, "2026-11-20T13:00", "mixed"), restored(bad, "2026-11-20T14:00", two)])
    ran = {
        hour: version(ledger, f"2026-11-20 {hour}")
        for hour in ("10:00", "11:02", "11:59", "12:00", "13:30", "14:30")
    }
    assert list(ran.values()) == ["1.0.0", "1.0.0", "1.0.0", "1.1.0", "1.1.0", "1.1.0"]


def test_what_was_restored_counts_as_running(ledger: Ledger) -> None:
    """Also where it is not the last that was healthy before: what was proven to run is believed."""
    one, two, bad = ledger.append([release("1.0.0"), release("1.1.0"), release("2.0.0")])
    ledger.append([at(one, "2026-11-20T10:00"), at(two, "2026-11-20T11:00")])
    ledger.append([restored(bad, "2026-11-20T12:00", one)])
    assert version(ledger, "2026-11-20 11:30") == "1.1.0"
    assert version(ledger, "2026-11-20 12:30") == "1.0.0"
    assert version(ledger, "previous") == "1.1.0"


def test_the_answer_says_how_a_time_was_read(ledger: Ledger) -> None:
    """In the local zone and in UTC, and what ran then, with the deployment whose settings come back."""
    (one,) = ledger.append([release("1.0.0")])
    ledger.append([at(one, "2026-11-20T10:00", name="first")])
    found = find(ledger, "2026-11-21 20:00", zone=BERLIN)
    assert found.notes == (
        '"2026-11-21 20:00" is read as 2026-11-21 20:00 CET, which is 2026-11-21T19:00Z',
        "1.0.0 ran in production, verified healthy at 2026-11-20 10:00:00 UTC",
    )
    assert found.event is not None
    assert found.event.deployment.deployment == digits("first", 12)


@pytest.mark.parametrize(
    ("zone", "changes", "before", "after"),
    [
        ("Europe/Berlin", "2026-03-29T01:00", "2026-03-29 01:59", "2026-03-29 03:00"),
        ("Europe/Berlin", "2026-10-25T01:00", "2026-10-25T02:59+02:00", "2026-10-25T02:00+01:00"),
        ("America/New_York", "2026-03-08T07:00", "2026-03-08 01:59", "2026-03-08 03:00"),
        ("America/New_York", "2026-11-01T06:00", "2026-11-01T01:59-04:00", "2026-11-01T01:00-05:00"),
        ("Australia/Lord_Howe", "2026-10-03T15:30", "2026-10-04 01:59", "2026-10-04 02:30"),
    ],
)
def test_a_time_beside_a_change_of_the_clocks_is_right(
    ledger: Ledger, zone: str, changes: str, before: str, after: str
) -> None:
    """A deployment at the very moment of the change: one minute of the wall before, and at it."""
    one, two = ledger.append([release("1.0.0"), release("1.1.0")])
    ledger.append([at(one, "2026-01-01T00:00"), at(two, changes)])
    assert version(ledger, before, zone=ZoneInfo(zone)) == "1.0.0"
    assert version(ledger, after, zone=ZoneInfo(zone)) == "1.1.0"


def test_a_time_that_was_twice_is_not_guessed(ledger: Ledger) -> None:
    """Even where both would mean the same release."""
    (one,) = ledger.append([release("1.0.0")])
    ledger.append([at(one, "2026-01-01T00:00")])
    with pytest.raises(UsageError, match="this time occurred twice"):
        find(ledger, "2026-10-25 02:30", zone=BERLIN)


def test_before_the_first_healthy_deployment_the_first_is_named(ledger: Ledger) -> None:
    """With its time; status 6. An environment where nothing was healthy says so."""
    one, two = ledger.append([release("1.0.0"), release("1.1.0")])
    ledger.append([at(one, "2026-11-20T09:00", "failed"), at(two, "2026-11-20T10:00")])
    with pytest.raises(
        TargetUnavailable, match=r"verified healthy there is 1\.1\.0, since 2026-11-20 10:00"
    ) as caught:
        find(ledger, "2026-11-20 09:30")
    assert (caught.value.exit_code, caught.value.hint) == (6, "--to 1.1.0")
    with pytest.raises(TargetUnavailable, match="no release was ever verified healthy there"):
        find(ledger, "1h", environment="staging")


def test_a_time_needs_an_environment_and_must_be_past(ledger: Ledger) -> None:
    """Status 2, before anything is looked up."""
    with pytest.raises(UsageError, match="no environment is given"):
        find(ledger, "1h", environment=None)
    with pytest.raises(UsageError, match="is in the future"):
        find(ledger, "2026-11-22 12:01")


def test_a_time_counts_events_that_wait_for_the_server(ada: Repository, server: Repository) -> None:
    """Where their times put them: the answer is the same before and after they are published."""
    ledger = samples.ledger(ada.root, remote="origin")
    one, two, three = ledger.append([release("1.0.0"), release("1.1.0"), release("2.0.0")])
    ledger.append([at(one, "2026-11-20T10:00")])
    away = server.root.rename(server.root.with_name("away.git"))
    ledger.append_events([at(two, "2026-11-20T11:00")])
    away.rename(server.root)
    other = samples.ledger(ada.root.with_name("bob"), remote="origin")
    other.refresh()
    other.append([at(three, "2026-11-20T12:00")])
    ledger.refresh()

    def answers() -> list[str]:
        times = ("2026-11-20 10:30", "2026-11-20 11:30", "2026-11-20 12:30", "previous", "-2")
        return [version(ledger, target) for target in times]

    waiting = answers()
    assert ledger.sync() == 1
    assert waiting == answers() == ["1.0.0", "1.1.0", "2.0.0", "1.1.0", "1.0.0"]


# conflicts between readings


def test_digits_that_are_a_major_version_are_that(ledger: Ledger) -> None:
    """Otherwise they are the beginning of an id; `sha256:` says so at once."""
    ledger.append([release("1.0.0", commit="1234567" + "a" * 33)])
    assert version(ledger, "1234567") == "1.0.0"
    ledger.append([release("1234567.0.0")])
    assert version(ledger, "1234567") == "1234567.0.0"
    assert version(ledger, "1234567a") == "1.0.0"
    with pytest.raises(TargetUnavailable):
        find(ledger, "sha256:1234567")


def test_a_version_is_read_before_a_tag_that_says_otherwise(ledger: Ledger) -> None:
    """A tag named v1.0.0 belongs to the release 1.0.0, whatever made it."""
    ledger.append([release("1.0.0"), release("1.1.0", tag="v1.0.0-final")])
    assert version(ledger, "v1.0.0") == "1.0.0"


@pytest.mark.parametrize("target", ["12:00", "2h", "3d", "2026-11-21 20:00", "previous", "-1"])
def test_times_and_words_are_never_names(ledger: Ledger, target: str) -> None:
    """They are read first, and what they ask for did not happen here."""
    ledger.append([release("2.0.0")])
    with pytest.raises(TargetUnavailable, match=r"no release was (ever )?verified healthy there"):
        find(ledger, target)


def test_a_beginning_of_several_deployments_lists_them(ledger: Ledger) -> None:
    """Their settings may differ, though the release is one."""
    (one,) = ledger.append([release("1.0.0")])
    names = ("aaaaaa000001", "aaaaaa000002")
    for minute, name in enumerate(names):
        draft = event(one, at=samples.moment(minute))
        assert isinstance(draft.body, Deployment)
        ledger.append([replace(draft, body=draft.body.model_copy(update={"deployment": name}))])
    with pytest.raises(TargetUnavailable, match="2 deployments match") as caught:
        find(ledger, "aaaaaa")
    assert all(name in caught.value.found for name in names)
    found = find(ledger, names[0])
    assert found.event is not None
    assert found.event.deployment.deployment == names[0]


def test_a_failed_deployment_names_its_release_but_no_settings(ledger: Ledger) -> None:
    """What never was healthy cannot be restored; nor can another environment's settings be."""
    (one,) = ledger.append([release("1.0.0")])
    ledger.append([event(one, "failed", deployment="a"), event(one, deployment="b", environment="staging")])
    for name in ("a", "b"):
        found = find(ledger, digits(name, 12))
        assert (found.release.id, found.event) == (one.id, None)


def test_digits_with_a_slip_suggest_the_nearest(ledger: Ledger) -> None:
    """The one that begins most like it."""
    ledger.append([release("1.0.0", commit="abcdef0" + "1" * 33), release("1.1.0", commit="abc" + "2" * 37)])
    with pytest.raises(TargetUnavailable) as caught:
        find(ledger, "abcdef9111")
    assert caught.value.hint == "did you mean --to abcdef011111?"


# quarantine


def test_what_is_quarantined_is_passed_over_and_said(ledger: Ledger) -> None:
    """By `previous`, by steps back and by lines of versions."""
    records = ledger.append([release(v) for v in ("1.0.0", "1.0.1", "1.0.2")])
    ledger.append([at(record, f"2026-11-20T1{hour}:00") for hour, record in enumerate(records)])
    ledger.append([quarantine(records[1], "loses orders")])
    found = find(ledger, "previous")
    assert found.release.body.version == "1.0.0"
    (note,) = found.notes
    assert note.startswith(
        "1.0.1 is skipped: it is quarantined: loses orders (Ada Lovelace, 2026-11-20 12:00"
    )
    ledger.append([quarantine(records[2])])
    assert version(ledger, "1.0") == "1.0.0"
    with pytest.raises(TargetUnavailable, match=r"1\.0\.1 .*  quarantined"):
        find(ledger, "-2")


def test_the_command_that_takes_one_back_names_where_it_was_set_aside(ledger: Ledger) -> None:
    """Without the environment it would end nothing; service and environment as who asks writes them."""
    one, two = ledger.append([release("1.0.0"), release("1.1.0")])
    ledger.append([at(one, "2026-11-20T10:00"), at(two, "2026-11-20T11:00")])
    ledger.append([quarantine(one, environment="production")])
    with pytest.raises(TargetUnavailable) as caught:
        query.find(ledger, "api", "previous", environment="production", command="do {} --service api".format)
    assert (
        "`do quarantine 1.0.0 --lift --environment production --message WHY --service api`"
        in caught.value.hint
    )
    assert "`do history --service api` lists them" in caught.value.hint


def test_what_is_quarantined_can_still_be_named(ledger: Ledger) -> None:
    """A line where nothing else is left means its highest: whoever deploys it is refused with the reason."""
    (one,) = ledger.append([release("1.0.0")])
    ledger.append([quarantine(one)])
    for target in ("1.0.0", "v1.0.0", "1.0", digits("1.0.0", 8)):
        assert version(ledger, target) == "1.0.0"


def test_a_quarantine_holds_where_it_was_said_until_it_is_lifted(ledger: Ledger) -> None:
    """The last word that applies decides."""
    (one,) = ledger.append([release("1.0.0")])

    def held(environment: str | None) -> bool:
        return query.active_quarantine(ledger, "api", one.id, environment) is not None

    ledger.append([quarantine(one, environment="production")])
    assert (held("production"), held("staging"), held(None)) == (True, False, False)
    ledger.append([quarantine(one)])
    assert (held("production"), held("staging"), held(None)) == (True, True, True)
    ledger.append([quarantine(one, environment="staging", lifted=True)])
    assert (held("production"), held("staging"), held(None)) == (True, False, True)
    ledger.append([quarantine(one, lifted=True)])
    assert (held("production"), held("staging"), held(None)) == (False, False, False)


def test_a_quarantine_holds_before_the_server_knows_it(ada: Repository, server: Repository) -> None:
    """And comes to the server once."""
    ledger = samples.ledger(ada.root, remote="origin")
    (one,) = ledger.append([release("1.0.0")])
    away = server.root.rename(server.root.with_name("away.git"))
    word = quarantine(one, at="2026-11-20T12:30:00.000Z")
    assert ledger.append_events([word]) is None
    assert query.active_quarantine(ledger, "api", one.id, "production") is not None
    away.rename(server.root)
    assert ledger.sync() == 1
    (again,) = ledger.append([word])
    assert again.envelope.seq == 2
    assert ledger.unsynced() == ()
    assert query.active_quarantine(ledger, "api", one.id, "production") is not None


# any history against a model

VERSIONS = ("1.0.0", "1.0.1", "1.1.0", "2.0.0-rc.1")
PLACES = ("production", "staging")
deploying = st.tuples(
    st.just("deploy"),
    st.sampled_from(VERSIONS),
    st.sampled_from(PLACES),
    st.sampled_from(("started", "healthy", "healthy", "restored", "failed", "mixed")),
)
judging = st.tuples(
    st.just("quarantine"), st.sampled_from(VERSIONS), st.sampled_from((*PLACES, None)), st.booleans()
)
releasing = st.tuples(st.just("release"), st.sampled_from(VERSIONS))
histories = st.lists(st.one_of(releasing, deploying, judging), max_size=14)


class Model:
    """What happened, as lists; one minute for each step."""

    def __init__(self) -> None:
        self.released: dict[str, Record[Body]] = {}
        self.ran: dict[str, list[tuple[int, str]]] = {place: [] for place in PLACES}
        self.words: list[tuple[str, str | None, bool]] = []
        self.attempts: dict[str, str] = {}

    def held(self, version: str, place: str | None) -> bool:
        said = [lifted for v, where, lifted in self.words if v == version and where in (None, place)]
        return bool(said) and not said[-1]

    def running(self, place: str, minute: int) -> str | None:
        return next((v for when, v in reversed(self.ran[place]) if when <= minute), None)

    def back(self, place: str, steps: int) -> str | None:
        order = list(dict.fromkeys(v for _, v in reversed(self.ran[place])))
        left = order[:1] + [v for v in order[1:] if not self.held(v, place)]
        return left[steps] if steps < len(left) else None

    def line(self, prefix: str, place: str) -> str | None:
        known = [v for v in VERSIONS if v in self.released and v.startswith(f"{prefix}.")]
        good = [v for v in known if not self.held(v, place)]
        return next(reversed(good or known), None)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories)
def test_any_history_resolves_like_a_simple_model(history: list[tuple[object, ...]]) -> None:
    """Every kind of target, in every environment and at every minute."""
    with tempfile.TemporaryDirectory() as folder:
        model, here = Model(), Repository.init(Path(folder))
        ledger = samples.ledger(here.root)
        for minute, step in enumerate(history):
            _do(step, minute, model, ledger)
        _agree(model, samples.ledger(here.root), len(history))


def _do(step: tuple[object, ...], minute: int, model: Model, ledger: Ledger) -> None:
    when = samples.moment(minute)
    match step:
        case ("release", str(version)) if version not in model.released:
            (model.released[version],) = ledger.append([release(version, at=when)])
        case ("deploy", str(version), str(place), str(status)) if version in model.released:
            name = f"{minute}"
            before = model.running(place, minute)
            of = model.released[version]
            draft = event(of, status, deployment=name, environment=place, at=when)
            if status == "restored" and before is not None:
                draft = replace(restored(of, when[:16], model.released[before]))
                assert isinstance(draft.body, Deployment)
                update = {"environment": place, "deployment": digits(name, 12)}
                draft = replace(draft, body=draft.body.model_copy(update=update))
            ledger.append([draft])
            model.attempts[digits(name, 12)] = version
            if status == "healthy":
                model.ran[place].append((minute, version))
        case ("quarantine", str(version), place, bool(lifted)) if version in model.released:
            assert place is None or isinstance(place, str)
            word = quarantine(model.released[version], environment=place, lifted=lifted, at=when)
            ledger.append([word])
            model.words.append((version, place, lifted))


def _agree(model: Model, ledger: Ledger, minutes: int) -> None:
    for version, record in model.released.items():
        names = (version, f"v{version}", f"sha256:{digits(version)}", digits(f"commit {version}", 40))
        assert [_found(ledger, name) for name in (*names, digits(version, 12))] == [version] * 5
        for place in (*PLACES, None):
            held = query.active_quarantine(ledger, "api", record.id, place)
            assert (held is not None) == model.held(version, place)
    for attempt, version in model.attempts.items():
        assert _found(ledger, attempt) == version
    for place in PLACES:
        for steps in range(4):
            assert _found(ledger, f"-{steps}", place) == model.back(place, steps)
        for prefix in ("1", "1.0", "2"):
            assert _found(ledger, prefix, place) == model.line(prefix, place)
        for minute in range(-1, minutes):
            then = datetime(2026, 11, 20, 12, tzinfo=UTC) + timedelta(minutes=minute)
            assert _found(ledger, f"{then:%Y-%m-%d %H:%M}", place) == model.running(place, minute)


def _found(ledger: Ledger, target: str, place: str = "production") -> str | None:
    try:
        return find(ledger, target, environment=place).release.body.version
    except TargetUnavailable:
        return None
