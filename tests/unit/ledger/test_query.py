"""Questions to the ledger: what a target means, what runs, what ran."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

import pytest

from release.errors import TargetUnavailable, UsageError
from release.ledger import query
from release.ledger.store import Ledger
from release.records import Body, Draft, Record
from tests.unit.ledger import samples
from tests.unit.ledger.samples import digits, event, moment, note, quarantine, release, says
from tests.unit.repository import Repository, without_own_settings


class Told:
    """A ledger, and words for what happens in it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.minute = 0
        self.released: dict[str, Record[Body]] = {}

    def release(self, version: str, *, content: str | None = None, commit: str | None = None) -> Record[Body]:
        (record,) = self._append(release(version, content=content, commit=commit))
        self.released[version] = record
        return record

    def deploy(self, version: str, status: str = "healthy", *, environment: str = "production") -> str:
        """Returns the deployment's id."""
        name = f"{version} {self.minute} {environment}"
        of = self.released[version]
        self._append(
            event(of, "started", deployment=name, environment=environment),
            event(of, status, deployment=name, environment=environment),
        )
        return digits(name, 12)

    def _append(self, *drafts: Draft[Body]) -> tuple[Record[Body], ...]:
        made = []
        for draft in drafts:
            self.minute += 1
            made.append(samples.draft(draft.body, service=draft.service, at=moment(self.minute)))
        return self.ledger.append(made)

    def find(self, target: str, environment: str | None = "production") -> str:
        return query.resolve(self.ledger, "api", target, environment=environment).body.version

    def running(self, environment: str = "production") -> str | None:
        found = query.current_deployment(self.ledger, "api", environment)
        return self.version(found)

    def version(self, found: query.Event | None) -> str | None:
        if found is None:
            return None
        return next(v for v, record in self.released.items() if record.id == found.deployment.release)


@pytest.fixture
def told(here: Repository) -> Told:
    return Told(samples.ledger(here.root))


@pytest.fixture(scope="session")
def _story(_world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """The story below, made once: its folder, and what was released."""
    root = tmp_path_factory.mktemp("story") / "here"
    shutil.copytree(_world / "here", root)
    with pytest.MonkeyPatch.context() as patch:
        without_own_settings(patch)
        told = Told(samples.ledger(root))
        for version in ("1.4.1", "1.4.2", "1.5.0", "2.0.0"):
            told.release(version)
        told.deploy("1.4.1")
        told.deploy("1.4.2")
        told.deploy("1.5.0", "failed")
        told.deploy("2.0.0")
    return root, told


@pytest.fixture
def story(_story: tuple[Path, Told], tmp_path: Path) -> Told:
    """Four releases; production went 1.4.1, 1.4.2, a failed 1.5.0, 2.0.0."""
    folder, told = _story
    copy = Told(samples.ledger(Path(shutil.copytree(folder, tmp_path / "story"))))
    copy.minute, copy.released = told.minute, dict(told.released)
    return copy


# names of releases


@pytest.mark.parametrize(
    ("target", "version"),
    [
        ("1.4.2", "1.4.2"),
        ("v1.4.2", "1.4.2"),
        (" 1.4.2 ", "1.4.2"),
        ("1.4", "1.4.2"),
        ("v1.4", "1.4.2"),
        ("1", "1.5.0"),
        ("v2", "2.0.0"),
        (f"sha256:{digits('1.4.1')}", "1.4.1"),
        (f"sha256:{digits('1.4.1')[:8]}", "1.4.1"),
        (digits("1.4.1"), "1.4.1"),
        (digits("1.4.1")[:7], "1.4.1"),
        (digits("1.4.1")[:9].upper(), "1.4.1"),
        (digits("commit 1.5.0", 40), "1.5.0"),
        (digits("commit 1.5.0", 7), "1.5.0"),
    ],
)
def test_a_release_has_many_names(story: Told, target: str, version: str) -> None:
    """Version, line of versions, digest, commit, each also by its beginning."""
    assert story.find(target) == version
    assert story.find(target, None) == version


def test_a_deployment_names_the_release_it_was_about(story: Told) -> None:
    """Its id or the beginning of it, also when it failed."""
    failed = story.deploy("1.5.0", "failed")
    assert story.find(failed) == "1.5.0"
    assert story.find(failed[:6]) == "1.5.0"


def test_a_git_tag_names_the_release_that_made_it(told: Told) -> None:
    """Only the tag that the record carries: another service's is not ours."""
    told.ledger.append([release("1.0.0", tag="api/v1.0.0"), release("2.0.0", tag="v2.0.0")])
    assert told.find("api/v1.0.0") == "1.0.0"
    for stranger in ("web/v1.0.0", "api/v2.0.0", "api/v9.0.0", "api/x"):
        with pytest.raises(TargetUnavailable):
            told.find(stranger)


def test_a_line_of_versions_means_its_newest_final_one(told: Told) -> None:
    """By semver, not by text or time; a pre-release only where there is nothing else."""
    for version in ("1.4.10", "1.4.9", "1.4.11-rc.1", "1.40.0", "3.0.0-rc.2", "3.0.0-rc.10"):
        told.release(version)
    assert told.find("1.4") == "1.4.10"
    assert told.find("1") == "1.40.0"
    assert told.find("3.0") == "3.0.0-rc.10"
    assert told.find("1.4.11-rc.1") == "1.4.11-rc.1"


def test_several_releases_of_a_commit_are_listed(told: Told) -> None:
    """The reader chooses; the lookup by commit alone gives the newest."""
    told.release("2.0.0-rc.1", commit="c" * 40)
    told.release("2.0.0", commit="c" * 40)
    with pytest.raises(TargetUnavailable, match="2 releases match") as caught:
        told.find("c" * 12)
    assert "2.0.0-rc.1" in caught.value.found
    assert caught.value.hint == "give a version: --to 2.0.0"
    found = query.release_of_commit(told.ledger, "api", "c" * 40)
    assert found is not None
    assert found.body.version == "2.0.0"


def test_digits_that_begin_a_commit_and_a_digest_are_listed(told: Told) -> None:
    """Nothing is guessed between the two readings."""
    told.release("1.0.0")
    told.release("1.1.0", commit=digits("1.0.0")[:10] + "0" * 30)
    with pytest.raises(TargetUnavailable, match="2 releases match"):
        told.find(digits("1.0.0")[:8])
    assert told.find(f"sha256:{digits('1.0.0')[:8]}") == "1.0.0"


def test_an_unknown_name_shows_the_nearest_and_the_last_releases(told: Told) -> None:
    """Five of them, newest first."""
    for minor in range(7):
        told.release(f"1.{minor}.0")
    with pytest.raises(TargetUnavailable) as caught:
        told.find("1.33.0")
    assert caught.value.exit_code == 6
    assert caught.value.hint == "did you mean --to 1.3.0?"
    listed = [line.split()[0] for line in caught.value.found.splitlines()[1:]]
    assert listed == ["1.6.0", "1.5.0", "1.4.0", "1.3.0", "1.2.0"]


@pytest.mark.parametrize(
    "target", ["", "v", "sha256:", "sha256:f", "abc", "0" * 6, "-", "-0x", "main", "../1.0.0", "\n"]
)
def test_a_name_of_nothing_is_an_error(story: Told, target: str) -> None:
    """Too short, or no name at all."""
    with pytest.raises(TargetUnavailable, match="there is no such release"):
        story.find(target)


def test_an_empty_ledger_says_how_to_begin(told: Told) -> None:
    """Nothing was released yet."""
    with pytest.raises(TargetUnavailable, match="has no release") as caught:
        told.find("1.0.0")
    assert caught.value.hint == "nox -s release"


def test_a_clone_without_the_ledger_is_told_to_bring_it(ada: Repository) -> None:
    """The git remote is away: releasing would help nobody."""
    with pytest.raises(TargetUnavailable, match="has no release") as caught:
        query.find(samples.ledger(ada.root, remote="origin"), "api", "1.0.0", environment=None)
    assert caught.value.hint == "`invoke sync` fetches the ledger when the git remote origin answers"


def test_a_service_without_releases_is_told_which_have_some(told: Told) -> None:
    """As after a wrong name in the settings."""
    told.ledger.append([release("1.0.0", service="web")])
    with pytest.raises(TargetUnavailable, match="has no release of api; it has some of: web") as caught:
        told.find("1.0.0")
    assert "check the service name api" in caught.value.hint


def test_a_service_sees_only_its_own(told: Told) -> None:
    """Another service's release of the same version is not ours."""
    told.ledger.append([release("1.0.0", service="web")])
    assert query.versions(told.ledger, "api") == ()
    assert query.release_of_version(told.ledger, "api", "1.0.0") is None
    assert query.versions(told.ledger, "web") == ("1.0.0",)


# what ran before


def test_previous_is_the_last_other_release_that_was_healthy(story: Told) -> None:
    """The failed attempt in between does not count."""
    assert story.running() == "2.0.0"
    assert story.find("previous") == "1.4.2"
    assert story.find("-1") == "1.4.2"
    assert story.find("-2") == "1.4.1"
    assert story.find("-0") == "2.0.0"


def test_deploying_again_does_not_make_a_release_its_own_predecessor(story: Told) -> None:
    """Each release counts once, however often it was deployed."""
    story.deploy("2.0.0")
    story.deploy("2.0.0")
    assert story.find("previous") == "1.4.2"


def test_previous_after_a_rollback_is_what_ran_before_it(story: Told) -> None:
    """A rollback is a deployment like any other."""
    story.deploy("1.4.2")
    assert story.running() == "1.4.2"
    assert story.find("previous") == "2.0.0"
    assert story.find("-2") == "1.4.1"


def test_previous_needs_an_environment(story: Told) -> None:
    """Something ran before somewhere."""
    with pytest.raises(UsageError, match="no environment is given"):
        story.find("previous", None)


def test_previous_of_the_first_deployment_is_nothing(told: Told) -> None:
    """What did run is listed; an environment where nothing ran says so."""
    told.release("1.0.0")
    told.deploy("1.0.0")
    with pytest.raises(TargetUnavailable, match=r"only 1 verified healthy there:\n  1\.0\.0"):
        told.find("previous")
    with pytest.raises(TargetUnavailable, match="no release was verified healthy there"):
        told.find("previous", "staging")


def test_previous_that_was_set_aside_names_the_command_that_takes_it_back(told: Told) -> None:
    """It is there, and was excluded: the operator decides."""
    for version in ("1.0.0", "1.1.0"):
        told.release(version)
        told.deploy(version)
    told.ledger.append([quarantine(told.released["1.0.0"])])
    with pytest.raises(TargetUnavailable, match=r"1\.0\.0 .*quarantined") as caught:
        told.find("previous")
    assert "`invoke quarantine 1.0.0 --lift --message WHY`" in caught.value.hint


def test_environments_do_not_mix(story: Told) -> None:
    """What ran in staging is not what ran in production."""
    story.deploy("1.5.0", environment="staging")
    assert (story.running(), story.running("staging"), story.running("test")) == ("2.0.0", "1.5.0", None)


def test_a_failed_or_restored_deployment_does_not_change_what_should_run(story: Told) -> None:
    """Only a healthy one does."""
    for status in ("failed", "restored", "mixed"):
        story.deploy("1.5.0", status)
        assert story.running() == "2.0.0"


def test_the_last_healthy_deployment_of_a_release_is_found(story: Told) -> None:
    """The newest one in that environment; its settings are restored."""
    story.deploy("1.4.2", environment="staging")
    again = story.deploy("1.4.2")
    story.deploy("2.0.0")
    story.deploy("1.4.2", "failed")
    found = query.last_healthy(story.ledger, "api", "production", story.released["1.4.2"].id)
    assert found is not None
    assert found.deployment.deployment == again
    assert query.last_healthy(story.ledger, "api", "production", story.released["1.5.0"].id) is None


def test_events_come_newest_first(story: Told) -> None:
    """Started and ended, across days, months and years."""
    of = story.released["2.0.0"]
    for number, day in enumerate(("2026-12-31", "2027-01-01", "2027-01-10")):
        story.ledger.append([event(of, deployment=str(number), at=f"{day}T00:00:00.000Z")])
    events = list(query.deployments(story.ledger, "api", "production"))
    assert [e.recorded_at for e in events] == sorted((e.recorded_at for e in events), reverse=True)
    assert len(events) == 11
    assert all(e.record is not None for e in events)


def test_what_ran_at_a_moment_is_found(story: Told) -> None:
    """Verified healthy then; attempts that failed or had only started do not count."""
    at = {says_at(e): e.recorded_at for e in query.deployments(story.ledger, "api", "production")}
    first, last = min(at.values()), max(at.values())
    ran = {
        when: story.version(query.deployment_running_at(story.ledger, "api", "production", when))
        for when in at.values()
    }
    assert [ran[when] for when in sorted(ran)] == [
        None,
        "1.4.1",
        "1.4.1",
        "1.4.2",
        "1.4.2",
        "1.4.2",
        "1.4.2",
        "2.0.0",
    ]
    assert query.deployment_running_at(story.ledger, "api", "production", "2026-11-20T11:59:59.999Z") is None
    assert (
        story.version(
            query.deployment_running_at(story.ledger, "api", "production", "2031-01-01T00:00:00.000Z")
        )
        == "2.0.0"
    )
    assert first < last


def says_at(found: query.Event) -> str:
    return f"{found.deployment.deployment} {found.deployment.status}"


# events that the server has not got


def test_unsynced_events_count_first(ada: Repository, server: Repository) -> None:
    """What this operator did last is what should run, whether the server knows it or not."""
    ledger = samples.ledger(ada.root, remote="origin")
    one, two = ledger.append([release("1.0.0"), release("1.1.0")])
    ledger.append([event(one, deployment="a", at=moment(1)), event(two, deployment="b", at=moment(2))])
    server.root.rename(server.root.with_name("away.git"))
    ledger.append_events([event(one, "started", deployment="c", at=moment(3))])
    ledger.append_events([event(one, deployment="c", at=moment(4))])
    offline = samples.ledger(ada.root, remote="origin")
    assert offline.refresh() is False
    listed = [
        (e.record is None, e.deployment.status) for e in query.deployments(offline, "api", "production")
    ]
    assert listed == [(True, "healthy"), (True, "started"), (False, "healthy"), (False, "healthy")]
    found = query.current_deployment(offline, "api", "production")
    assert found is not None
    assert found.deployment.release == one.id
    assert query.last_healthy(offline, "api", "production", one.id) == found
    assert query.resolve(offline, "api", "previous", environment="production").body.version == "1.1.0"
    assert query.resolve(offline, "api", digits("c", 12), environment=None).body.version == "1.0.0"
    assert query.deployment_running_at(offline, "api", "production", moment(5)) == found


# everything


def test_history_is_newest_first_and_lazy(story: Told) -> None:
    """By kind, environment and time; nothing is read before it is asked for."""
    story.ledger.append([note("hello", at=moment(99))])
    everything = [says(record) for record in query.history(story.ledger, "api")]
    assert everything[0] == "hello"
    assert everything[-1] == "release 1.4.1"
    assert len(everything) == 13
    assert [says(r) for r in islice(query.releases(story.ledger, "api"), 2)] == [
        "release 2.0.0",
        "release 1.5.0",
    ]
    deployed = list(query.history(story.ledger, "api", environment="production", since=moment(9)))
    assert [record.envelope.recorded_at for record in deployed] == [moment(m) for m in (12, 11, 10, 9)]
    recent = list(query.history(story.ledger, "api", since=moment(12)))
    assert len(recent) == 2
    assert list(query.history(story.ledger, "web")) == []
