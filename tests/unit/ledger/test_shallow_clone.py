"""A CI job's clone: it begins at the newest commits of the ledger, and says what it did not check."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from release.config import Ledger as Settings
from release.errors import LedgerRewritten, LedgerShallow, LedgerUnproven, LedgerUnsigned
from release.git.history import deepen, is_shallow, roots
from release.git.source import Source
from release.ledger import query
from release.ledger.opening import open_ledger
from release.ledger.store import Ledger
from release.ledger.verify import verify
from release.records import Record, Release
from tests.unit.ledger import intruder, samples
from tests.unit.ledger.forge import BRANCH, forget
from tests.unit.ledger.keys import SIGNERS, sign_with_ada
from tests.unit.ledger.samples import event, moment, note, quarantine, release, tagged
from tests.unit.repository import Repository, without_own_settings

LATE = moment(60)
SEEN = "refs/release/origin/release-ledger"
STRICT = {"require_signed": True, "allowed_signers": SIGNERS}


class Job:
    """A clone as a CI system makes it, and what its commands say."""

    def __init__(self, clone: Repository, **settings: object) -> None:
        self.clone = clone
        self.settings = Settings.model_validate({"remote": "origin", **settings})
        self.said: list[str] = []

    def opened(self, *, in_ci: bool = True) -> Ledger:
        source = Source.open(self.clone.root)
        return open_ledger(source, self.settings, ("api",), self.said.append, self.said.append, in_ci=in_ci)

    def ledger(self, *, in_ci: bool = True) -> Ledger:
        ledger = self.opened(in_ci=in_ci)
        assert ledger.refresh()
        return ledger

    @property
    def commits(self) -> int:
        """Number of the ledger's commits that the clone has."""
        return int(self.clone.git("rev-list", "--count", SEEN))


@pytest.fixture(scope="session")
def _grown(_world: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a signed ledger of eight commits, and its server."""
    root = tmp_path_factory.mktemp("grown") / "world"
    shutil.copytree(_world, root)
    ada = Repository(root / "ada")
    sign_with_ada(ada, keys)
    Repository(root / "server.git").git("config", "uploadpack.allowFilter", "true")
    with pytest.MonkeyPatch.context() as patch:
        without_own_settings(patch)
        ledger = Job(ada, **STRICT).opened(in_ci=False)
        (one,) = ledger.append([release("0.1.0", at=moment(0))])
        ledger.append([event(one, deployment="prod", at=moment(2))])
        (two,) = ledger.append([release("0.2.0", at=moment(3))])
        ledger.append([event(two, "started", deployment="now", at=moment(4))])
        ledger.append([event(two, deployment="now", at=moment(5))])
        ledger.append([quarantine(one, at=moment(6))])
        for number in range(2):
            ledger.append([note(f"note {number}", at=moment(7 + number))])
    return root


@pytest.fixture
def world(_grown: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(_grown, tmp_path / "world"))


@pytest.fixture
def job(server: Repository, ada: Repository, tmp_path: Path) -> Job:
    """With required signatures."""
    return Job(job_clone(server, ada, tmp_path / "job"), **STRICT)


@pytest.fixture
def plain(job: Job) -> Job:
    """Without required signatures."""
    return Job(job.clone)


def job_clone(server: Repository, ada: Repository, root: Path, *options: str) -> Repository:
    depth = options or ("--depth=1", "--single-branch", "--branch=main")
    clone = Repository.clone(f"file://{server.root}", root, *depth)
    shutil.copyfile(ada.root / SIGNERS, clone.root / SIGNERS)
    for key in ("gpg.format", "user.signingKey"):
        clone.git("config", key, ada.git("config", key))
    return clone


def pushed(ada: Repository, *options: str) -> None:
    ada.git("push", "-q", *options, "origin", BRANCH)


def proves(ada: Repository, **settings: object) -> None:
    """An operator's clone, which proves everything, finds nothing wrong."""
    forget(ada)
    assert Job(ada, **settings).ledger(in_ci=False).unproven is None
    source = Source.open(ada.root)
    report = verify(source, Settings.model_validate({"remote": "origin", **settings}))
    assert [each for each in report.violations if not each.kind.startswith("tag")] == []


def found(ledger: Ledger, version: str) -> Record[Release]:
    record = query.release_of_version(ledger, "api", version)
    assert record is not None
    return record


def test_a_job_fetches_the_newest_commits_and_says_so(job: Job) -> None:
    """The second command goes on from there, and says nothing."""
    assert job.ledger().unproven is None
    assert job.commits == 2
    (text,) = job.said
    start = job.clone.git("rev-parse", f"{BRANCH}~1")[:12]
    assert f"nothing up to {start} was checked here, but an allowed signer vouches for it" in text
    job.said.clear()
    assert len(list(query.history(job.ledger(), "api"))) == 8
    assert job.said == []


def test_without_signatures_a_job_says_that_nobody_vouches(plain: Job) -> None:
    """All of the past is unchecked."""
    plain.ledger()
    assert "was checked here. `invoke verify --ledger`" in plain.said[0]


def test_a_job_answers_the_questions_of_a_rollback(job: Job) -> None:
    """From records that are far behind its first commit, also without the server."""
    job.ledger()
    job.clone.git("remote", "set-url", "origin", "file:///nowhere")
    ledger = job.opened()
    assert len(list(query.history(ledger, "api"))) == 8
    assert found(ledger, "0.1.0").body.version == "0.1.0"
    assert [record.body.version for record in query.releases(ledger, "api")] == ["0.2.0", "0.1.0"]
    assert query.active_quarantine(ledger, "api", found(ledger, "0.1.0").id, None) is not None
    assert query.resolve(ledger, "api", "0.2.0", environment="production").body.version == "0.2.0"


def test_a_file_that_was_left_out_is_fetched_when_it_is_read(
    job: Job, ada: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger may have more records than a job fetches at first."""
    monkeypatch.setattr("release.ledger.shallow_clone._AHEAD", 1)
    monkeypatch.setattr("release.ledger.shallow_clone._LEAST_AHEAD", 1)
    whole = Job(ada, **STRICT).ledger(in_ci=False)
    assert list(query.history(job.ledger(), "api")) == list(query.history(whole, "api"))


@pytest.mark.parametrize("signed", [True, False])
def test_a_job_releases_and_every_other_clone_proves_it(
    job: Job, ada: Repository, server: Repository, *, signed: bool
) -> None:
    """Record and tag land in one push; the record has its place, and no second genesis."""
    settings: dict[str, object] = dict(STRICT) if signed else {}
    job = Job(job.clone, **settings)
    commit = job.clone.git("rev-parse", "HEAD")
    draft = release("1.0.0", commit=commit, at=LATE)
    (record,) = job.ledger().append([draft], tag=tagged(draft, commit))
    assert (record.envelope.seq, record.envelope.genesis) == (9, None)
    assert server.git("rev-parse", "v1.0.0^{commit}") == commit
    proves(ada, **settings)


def test_two_jobs_that_race_both_land(job: Job, server: Repository, ada: Repository, tmp_path: Path) -> None:
    """The loser fetches what the winner wrote, and proves it."""
    other = Job(job_clone(server, ada, tmp_path / "other"), **STRICT)
    mine, theirs = job.ledger(), other.ledger()
    theirs.append([note("theirs", at=LATE)])
    (record,) = mine.append([note("mine", at=LATE)])
    assert record.envelope.seq == 10
    proves(ada, **STRICT)


def test_an_event_waits_while_the_server_is_away(job: Job, server: Repository, ada: Repository) -> None:
    """A later command of the job publishes it."""
    ledger = job.ledger()
    away = server.root.with_name("away")
    server.root.rename(away)
    release_id = found(ledger, "0.2.0").id
    assert ledger.append_events([event(release_id, deployment="later", at=LATE)]) is None
    away.rename(server.root)
    assert job.ledger().sync() == 1
    proves(ada, **STRICT)


def test_a_server_that_knows_no_filters_sends_the_files_too(job: Job, server: Repository) -> None:
    """The depth alone is kept."""
    server.git("config", "--unset", "uploadpack.allowFilter")
    assert len(list(query.history(job.ledger(), "api"))) == 8
    assert job.commits == 2


def test_a_server_that_gives_no_single_files_sends_all(job: Job) -> None:
    """Git's old protocol refuses to send a file by its id."""
    job.clone.git("config", "protocol.version", "0")
    assert len(list(query.history(job.ledger(), "api"))) == 8


def test_on_an_operators_machine_the_ledger_is_fetched_whole(job: Job) -> None:
    """Also if a CI job has made the clone."""
    job.ledger()
    assert job.ledger(in_ci=False).unproven is None
    assert job.commits == 8


def test_a_setting_fetches_the_whole_ledger_in_ci_too(job: Job) -> None:
    Job(job.clone, **STRICT, fetch="whole").ledger()
    assert job.commits == 8


def test_a_verification_fetches_the_whole_ledger(job: Job) -> None:
    job.ledger()
    assert verify(Source.open(job.clone.root), job.settings).commits == 8


def test_a_verification_without_the_rest_is_an_error(job: Job) -> None:
    """Part of a ledger is never called verified."""
    job.ledger()
    job.clone.git("remote", "set-url", "origin", "file:///nowhere")
    with pytest.raises(LedgerShallow, match="could not fetch the rest"):
        verify(Source.open(job.clone.root), job.settings)


def test_the_code_of_a_whole_clone_stays_whole(server: Repository, ada: Repository, tmp_path: Path) -> None:
    """Git calls the repository shallow, because of the ledger alone."""
    job = Job(job_clone(server, ada, tmp_path / "whole", "--single-branch", "--branch=main"))
    source = Source.open(job.clone.root)
    before = roots(source)
    job.ledger()
    assert job.clone.git("rev-parse", "--is-shallow-repository") == "true"
    assert not is_shallow(source)
    assert roots(source) == before != frozenset()


def test_the_history_of_the_code_is_fetched_without_that_of_the_ledger(
    server: Repository, ada: Repository, tmp_path: Path
) -> None:
    """As the next version needs it. And the other way round: a verification leaves the code as it is."""
    ada.commit("feat: more", file="2")
    ada.git("push", "-q", "origin", "main")
    job = Job(job_clone(server, ada, tmp_path / "job"))
    job.ledger()
    source = Source.open(job.clone.root)
    assert is_shallow(source)
    verify(source, job.settings)
    assert (is_shallow(source), job.commits) == (True, 8)
    job = Job(job_clone(server, ada, tmp_path / "another"))
    job.ledger()
    source = Source.open(job.clone.root)
    deepen(source, "origin")
    assert (is_shallow(source), job.commits) == (False, 2)


def test_a_ledger_that_was_bound_late_is_fetched_whole(here: Repository, tmp_path: Path) -> None:
    """Its newest tree does not tell which services are bound."""
    samples.ledger(here.root).append([note("before there was a genesis")])
    Job(here, remote=None).opened().append([note("bound", at=LATE)])
    Job(here, remote=None).opened().append([note("more", at=LATE)])
    job = Job(Repository.clone(f"file://{here.root}", tmp_path / "late", "--single-branch", "--branch=main"))
    job.ledger()
    assert job.commits == 3


# attacks


@pytest.mark.attack(
    "an unsigned release on top of the ledger, for a CI job that has no more than its newest commits",
    "the search for an allowed signer who vouches, as far back as it takes",
)
def test_an_unsigned_release_is_not_read_by_a_job(job: Job, ada: Repository) -> None:
    before = ada.git("rev-parse", BRANCH)
    commit = intruder.append(ada, release("9.0.0", at=LATE))
    pushed(ada)
    ledger = job.ledger()
    assert ledger.head == before
    assert isinstance(ledger.unproven, LedgerUnsigned)
    assert commit in ledger.unproven.found
    assert query.release_of_version(ledger, "api", "9.0.0") is None


@pytest.mark.attack(
    "an unsigned release just below signed commits that vouch for nothing, where a shallow clone ends",
    "a CI job begins only at a commit that an allowed signer vouches for",
)
def test_an_unsigned_release_below_signed_commits_is_not_read_by_a_job(job: Job, ada: Repository) -> None:
    before = ada.git("rev-parse", BRANCH)
    commit = intruder.append(ada, release("9.0.0", at=LATE))
    for number in range(3):
        intruder.append(ada, note(f"honest {number}", at=LATE), sign=True)
    pushed(ada)
    ledger = job.ledger()
    assert ledger.head == before
    assert commit in str(getattr(ledger.unproven, "found", ""))


@pytest.mark.attack(
    "a record that names its parent as proven, in a commit that no allowed signer made",
    "only an allowed signer vouches, also for the commit that a CI job begins at",
)
def test_a_stranger_vouches_for_nothing_in_a_job(job: Job, ada: Repository) -> None:
    before = ada.git("rev-parse", BRANCH)
    unsigned = intruder.append(ada, release("9.0.0", at=LATE))
    last = intruder.placed(ada, note("vouched", at=LATE))
    forged = note("vouched", at=LATE).at(last.envelope.seq, last.envelope.prev, verified_head=unsigned)
    at = int(ada.git("log", "-1", "--format=%ct", BRANCH))
    intruder.commit(ada, intruder.files_of(forged), seconds=at)
    pushed(ada)
    assert job.ledger().head == before


@pytest.mark.attack(
    "a rewind of the server's branch between two jobs whose clone is kept",
    "the head that the clone remembers; a history that is cut off is fetched before it is compared",
)
@pytest.mark.parametrize("back", [1, 5])
@pytest.mark.parametrize("kept", ["all of `.git`", "git's objects and references"])
def test_a_rewind_between_two_jobs_is_seen(job: Job, server: Repository, back: int, kept: str) -> None:
    job.ledger()
    if kept != "all of `.git`":
        shutil.rmtree(job.clone.root / ".git" / "release")
    server.git("update-ref", BRANCH, f"{BRANCH}~{back}")
    with pytest.raises(LedgerRewritten, match="rewound, replaced or deleted"):
        job.opened().refresh()


@pytest.mark.attack(
    "another history in place of the ledger's, between two jobs whose clone is kept",
    "the head that the clone remembers",
)
def test_a_replaced_ledger_is_seen(job: Job, ada: Repository) -> None:
    job.ledger()
    ada.git("update-ref", BRANCH, f"{BRANCH}~3")
    intruder.append(ada, note("instead", at=LATE), sign=True)
    pushed(ada, "--force")
    with pytest.raises(LedgerRewritten):
        job.opened().refresh()


@pytest.mark.attack(
    "a server that has its newest commit alone, so that the job cannot compare it with the one before",
    "no commit is believed that cannot be compared with its parent",
)
def test_a_server_without_history_is_not_believed(plain: Job, server: Repository, tmp_path: Path) -> None:
    cut = Repository.clone(
        f"file://{server.root}", tmp_path / "cut", "--bare", "--depth=1", "--branch=release-ledger"
    )
    cut.git("config", "uploadpack.allowFilter", "true")
    plain.clone.git("remote", "set-url", "origin", f"file://{cut.root}")
    ledger = plain.opened()
    with pytest.raises(LedgerShallow):
        ledger.refresh()
    assert ledger.head is None
    plain.clone.git("remote", "set-url", "origin", f"file://{server.root}")
    assert plain.ledger().head == server.git("rev-parse", BRANCH)


@pytest.mark.attack(
    "a newest commit that changes an old path, without required signatures, for a CI job",
    "the rules for each commit that a job has with its parent",
)
def test_a_changed_path_is_refused_in_a_job(plain: Job, ada: Repository) -> None:
    before = ada.git("rev-parse", BRANCH)
    path = next(
        each for each in ada.git("ls-tree", "-r", "--name-only", BRANCH).splitlines() if "/version/" in each
    )
    commit = intruder.commit(ada, {path: f"{'0' * 64}\n".encode()})
    pushed(ada)
    ledger = plain.ledger()
    assert ledger.head == before
    assert isinstance(ledger.unproven, LedgerUnproven)
    assert commit in ledger.unproven.found
    with pytest.raises(LedgerUnproven):
        ledger.append([note("after it", at=LATE)])


@pytest.mark.attack(
    "the ledger of another repository in place of this one's, for a CI job",
    "the genesis of each service, which a job reads though it has no history",
)
def test_a_foreign_ledger_is_refused_in_a_job(plain: Job) -> None:
    job = Job(plain.clone, id="0" * 32)
    ledger = job.ledger()
    assert ledger.head is None
    assert "is bound to the ledger" in str(getattr(ledger.unproven, "found", ""))


@pytest.mark.attack(
    "a changed note of where a job's clone began, in a cache of CI",
    "the seal: the clone begins again, and the head that git's reference remembers must be in it",
)
def test_a_forged_beginning_is_not_believed(job: Job) -> None:
    head = job.ledger().head
    (file,) = (job.clone.root / ".git" / "release" / "verified" / "signed").rglob("release-ledger")
    file.write_bytes(file.read_bytes().replace(b'"last"', b'"lost"'))
    job.said.clear()
    assert job.ledger().head == head
    assert len(job.said) == 1
