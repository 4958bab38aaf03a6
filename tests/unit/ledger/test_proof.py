"""The verified head: nothing is read past a commit that breaks a rule, and nothing is appended after it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from release.config import Ledger as Settings
from release.errors import LedgerError, LedgerRewritten, LedgerUnproven, LedgerUnsigned
from release.git.runner import Answer
from release.git.source import Source
from release.ledger import git_objects, layout, proof, query, signing
from release.ledger.index_reader import record_at
from release.ledger.opening import open_ledger
from release.ledger.remote import Remote
from release.ledger.signing import Signature
from release.ledger.store import Ledger
from release.ledger.verify import verify
from release.records import Body, Record, Release
from tests.unit.ledger import intruder, samples
from tests.unit.ledger.forge import BRANCH, forget
from tests.unit.ledger.keys import SIGNERS, sign_with_ada, use
from tests.unit.ledger.samples import ADA, digits, event, moment, note, quarantine, release
from tests.unit.repository import Repository, without_own_settings

STRICT = {"allowed_signers": SIGNERS, "require_signed": True}
LATE = moment(60)


def opened(
    repository: Repository,
    *,
    services: tuple[str, ...] = ("api",),
    vouching: bool = False,
    settings: Mapping[str, object] | None = None,
) -> Ledger:
    """The ledger as a command opens it, with required signatures."""
    read = Settings.model_validate({**STRICT, **(settings or {})})
    source = Source.open(repository.root)
    return open_ledger(source, read, services, lambda _: None, lambda _: None, vouching=vouching)


def plain(repository: Repository, *, services: tuple[str, ...] = ("api",)) -> Ledger:
    """The ledger as a command opens it, without required signatures."""
    return opened(repository, services=services, settings={"require_signed": False})


@pytest.fixture(scope="session")
def _proven(_world: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed ledger with two releases, made once."""
    root = tmp_path_factory.mktemp("proven") / "here"
    shutil.copytree(_world / "here", root)
    signed = Repository(root)
    sign_with_ada(signed, keys)
    with pytest.MonkeyPatch.context() as patch:
        without_own_settings(patch)
        ledger = opened(signed)
        (one,) = ledger.append([release("0.1.0", at=moment(0))])
        ledger.append([event(one, deployment="stage", environment="staging", at=moment(1))])
        ledger.append([event(one, deployment="prod", at=moment(2))])
        (two,) = ledger.append([release("0.2.0", at=moment(3))])
        ledger.append([event(two, deployment="now", at=moment(4))])
        ledger.append([quarantine(one, at=moment(5))])
    return root


@pytest.fixture
def proven(_proven: Path, here: Repository) -> Repository:
    """This test's copy: 0.1.0 ran in staging and production, 0.2.0 runs in production."""
    shutil.rmtree(here.root)
    shutil.copytree(_proven, here.root)
    return here


def head(repository: Repository) -> str:
    return repository.git("rev-parse", BRANCH)


def release_of(ledger: Ledger, version: str) -> Record[Release]:
    found = query.release_of_version(ledger, "api", version)
    assert found is not None
    return found


def refused(ledger: Ledger, commit: str, before: str) -> LedgerUnproven:
    """The ledger is read up to one commit, and the next one is named."""
    assert ledger.head == before
    error = ledger.unproven
    assert isinstance(error, LedgerUnproven)
    assert commit in error.found
    with pytest.raises(LedgerUnproven, match=commit):
        ledger.append([note("after it", at=LATE)])
    return error


# what an intruder appends without a signature


@pytest.mark.attack(
    "an unsigned release record whose source is a commit of the attacker's, for `verify --rebuild`",
    "the proof: its commit is not signed, so no command reads the record",
)
def test_an_unsigned_release_is_not_read(proven: Repository) -> None:
    """Neither by version, digest or commit, nor in the list of releases."""
    before = head(proven)
    draft = release("9.0.0", commit=proven.git("rev-parse", "main"), at=LATE)
    commit = intruder.append(proven, draft)
    ledger = opened(proven)
    assert isinstance(refused(ledger, commit, before), LedgerUnsigned)
    assert query.release_of_version(ledger, "api", "9.0.0") is None
    assert query.release_of_commit(ledger, "api", proven.git("rev-parse", "main")) is None
    assert [each.body.version for each in query.releases(ledger, "api")] == ["0.2.0", "0.1.0"]


@pytest.mark.attack(
    "an unsigned `started` event of the running deployment with other settings, for `converge`",
    "the proof: its commit is not signed, so converge does not see the event",
)
def test_an_unsigned_start_is_not_read(proven: Repository) -> None:
    """The newest event stays the one that was signed."""
    before = head(proven)
    two = release_of(opened(proven), "0.2.0")
    commit = intruder.append(proven, event(two, "started", deployment="now", at=LATE))
    ledger = opened(proven)
    refused(ledger, commit, before)
    newest = next(query.deployments(ledger, "api", "production"))
    assert (newest.deployment.status, newest.recorded_at) == ("healthy", moment(4))


@pytest.mark.attack(
    "a second unsigned `healthy` event of the running deployment's id, for `migrations.down`",
    "the proof: its commit is not signed",
)
def test_an_unsigned_second_healthy_event_is_not_read(proven: Repository) -> None:
    """The deployment keeps the settings that were signed."""
    before = head(proven)
    two = release_of(opened(proven), "0.2.0")
    commit = intruder.append(proven, event(two, deployment="now", at=LATE))
    ledger = opened(proven)
    refused(ledger, commit, before)
    assert len(list(query.events_of(ledger, "api", digits("now", 12)))) == 1


@pytest.mark.attack(
    "a second `healthy` event of one deployment in a ledger without required signatures",
    "the rule that a deployment is healthy once",
)
@pytest.mark.parametrize("known", [True, False], ids=["on a verified head", "in a fresh clone"])
def test_a_deployment_is_healthy_once(proven: Repository, *, known: bool) -> None:
    """Whether this clone had proved the first event, or proves both now."""
    ledger = plain(proven)
    before, two = head(proven), release_of(ledger, "0.2.0")
    commit = intruder.append(proven, event(two, deployment="now", at=LATE))
    if not known:
        forget(proven)
    error = refused(plain(proven), commit, before)
    assert "healthy-twice" in error.found


@pytest.mark.attack(
    "an unsigned lift of a signed quarantine", "the proof: the quarantine that was signed decides"
)
def test_an_unsigned_lift_does_not_decide(proven: Repository) -> None:
    """0.1.0 stays quarantined."""
    one = release_of(opened(proven), "0.1.0")
    intruder.append(proven, quarantine(one, "fine", lifted=True, at=LATE))
    assert query.active_quarantine(opened(proven), "api", one.id, "production") is not None


@pytest.mark.attack("an unsigned freeze of production", "the proof: an unsigned freeze is not read")
def test_an_unsigned_freeze_does_not_decide(proven: Repository) -> None:
    """Production takes deployments."""
    from release.records import Freeze

    draft = samples.draft(Freeze(environment="production", message="stop"), at=LATE)
    intruder.append(proven, draft)
    assert query.active_freeze(opened(proven), "api", "production", LATE) is None


@pytest.mark.attack(
    "an unsigned record, and an honest signed one after it by a writer that did not look",
    "the proof: the signed commit does not vouch for its parent, so reading stops before the unsigned one",
)
def test_a_signature_after_it_does_not_cure_an_unsigned_commit(proven: Repository) -> None:
    """An older version of this library signs without a proof."""
    before = head(proven)
    commit = intruder.append(proven, release("9.0.0", at=LATE))
    intruder.append(proven, note("honest", at=LATE), sign=True)
    refused(opened(proven), commit, before)


def test_a_signed_commit_of_an_older_version_is_believed(proven: Repository) -> None:
    """It vouches for nothing, and is signed; so is each before it."""
    commit = intruder.append(proven, note("older", at=LATE), sign=True)
    forget(proven)
    ledger = opened(proven)
    assert (ledger.head, ledger.unproven) == (commit, None)


@pytest.mark.attack(
    "a commit that is signed with a key that is not an allowed signer's",
    "the proof: the key is not in the file of allowed signers",
)
def test_a_foreign_signature_is_no_signature(proven: Repository, keys: Path) -> None:
    """The message names the key."""
    before = head(proven)
    use(proven, keys / "eve")
    commit = intruder.append(proven, note("eve", at=LATE), sign=True)
    assert "SHA256:" in refused(opened(proven), commit, before).found


# indexes


def _paths(ledger: Ledger) -> dict[str, tuple[str, str]]:
    """A wrong place in each index, and the record that is put there."""
    one = release_of(ledger, "0.1.0")
    stage = next(query.deployments(ledger, "api", "staging"))
    assert stage.record is not None
    number, commit = one.body.image.digest.removeprefix("sha256:"), one.body.source.commit
    of_event = {
        "environment": layout.event_entry_path("api", "production", LATE, stage.record),
        "deployment": f"{layout.deployment_folder('api', 'ab')}/ab{'0' * 10}-000000002",
        "healthy": f"{layout.healthy_folder('api', 'production', one.id)}/{one.id}-000000002",
    }
    of_release = {
        "version": layout.version_entry_path("api", "0.0.9"),
        "digest": layout.digest_entry_path("api", number[::-1]),
        "commit": layout.commit_entry_path("api", commit[::-1]),
        "seq": layout.seq_entry_path("api", 99, "release"),
        "quarantine": f"{layout.quarantine_folder('api', one.id)}/{one.id}-000000099",
        "freeze": f"{layout.freeze_folder('api', 'production')}/000000099",
        "verification": f"{layout.verifications_folder('api', 'drill', 'production')}/2026/11/20/1-{one.id}",
        "verified": f"{layout.verified_folder('api', one.id)}/{one.id}-000000099",
    }
    return {name: (path, stage.record) for name, path in of_event.items()} | {
        name: (path, one.id) for name, path in of_release.items()
    }


INDEXES = (
    *("environment", "deployment", "healthy", "version", "digest", "commit", "seq"),
    *("quarantine", "freeze", "verification", "verified"),
)


@pytest.mark.attack(
    "an index entry that names another record: production's healthy entry names a staging event, a version "
    "names another version's record",
    "the rule that each entry follows from its record; the same for every index",
)
@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("sign", [True, False], ids=["signed", "unsigned"])
def test_an_entry_that_does_not_follow_from_its_record_is_refused(
    proven: Repository, index: str, *, sign: bool
) -> None:
    """Beside an honest record, signed or not."""
    ledger = plain(proven)
    before = head(proven)
    path, record = _paths(ledger)[index]
    honest = intruder.files_of(intruder.placed(proven, note("honest", at=LATE)))
    forged = {**honest, path: f"{record}\n".encode()}
    commit = intruder.commit(proven, forged, seconds=_at(LATE), sign=sign)
    refused(plain(proven), commit, before)


def _at(time: str) -> int:
    from tests.unit.ledger.forge import seconds_of

    return seconds_of(time)


class ImageStore:
    """A ledger without a proof: whatever its files say is there."""

    def __init__(self, files: dict[str, str], records: dict[str, Record[Body]]) -> None:
        self._files, self._records = files, records

    def read(self, path: str) -> bytes | None:
        return f"{self._files[path]}\n".encode() if path in self._files else None

    def names(self, folder: str) -> tuple[str, ...]:
        raise AssertionError(folder)

    def record(self, record: str) -> Record[Body]:
        return self._records[record]


@pytest.mark.parametrize("index", INDEXES)
def test_a_read_compares_the_record_with_its_path(proven: Repository, index: str) -> None:
    """A second lock behind the proof: service, kind, environment, release, status, number and time."""
    ledger = plain(proven)
    path, record = _paths(ledger)[index]
    shelf = ImageStore({path: record}, {record: ledger.record(record)})
    with pytest.raises(LedgerError, match="contradicts the path"):
        record_at(shelf, path)


# the chain of commits


@pytest.fixture
def foreign(proven: Repository, tmp_path: Path) -> Repository:
    """Another repository, whose ledger the same person signed."""
    other = Repository.init(tmp_path / "other")
    other.commit("feat: other", file="other")
    for key in ("gpg.format", "user.signingKey"):
        other.git("config", key, proven.git("config", key))
    shutil.copyfile(proven.root / SIGNERS, other.root / SIGNERS)
    opened(other).append([release("7.0.0", content="foreign", at=moment(6))])
    return other


@pytest.mark.attack(
    "a merge of another repository's ledger, signed by the same key",
    "the rule that each commit has one parent, the verified head",
)
@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("known", [True, False], ids=["verified before", "fresh clone"])
def test_a_merge_is_refused(proven: Repository, foreign: Repository, first: str, *, known: bool) -> None:
    """Whichever history comes first; it is a fast-forward for the branch."""
    before = head(proven)
    proven.git("fetch", "-q", str(foreign.root), "release-ledger:theirs")
    theirs = proven.git("rev-parse", "theirs")
    honest = intruder.files_of(intruder.placed(proven, note("merge", at=LATE)))
    if first == "ours":
        commit = intruder.commit(proven, honest, seconds=_at(LATE), more_parents=[theirs], sign=True)
    else:
        commit = intruder.commit(proven, {}, seconds=_at(LATE), instead_of=theirs, sign=True)
    if not known:
        forget(proven)
    if first == "ours":
        refused(opened(proven), commit, before)
        return
    ledger = opened(proven)
    assert ledger.unproven is not None
    assert query.release_of_version(ledger, "api", "7.0.0") is None


@pytest.mark.attack(
    "the ledger of another repository in place of this one's, signed by the same key, in a fresh clone",
    "the genesis record: it binds a ledger to the root commits of its repository",
)
def test_the_ledger_of_another_repository_is_refused(proven: Repository, foreign: Repository) -> None:
    """Nothing remembers the right one here but the code's own history."""
    proven.git("fetch", "-q", "-f", str(foreign.root), "+release-ledger:release-ledger")
    forget(proven)
    ledger = opened(proven)
    assert (ledger.head, ledger.unproven is not None) == (None, True)
    assert ledger.unproven is not None
    assert "foreign-ledger" in ledger.unproven.found


@pytest.mark.attack(
    "the ledger of another repository in a shallow clone, which does not know the code's root commits",
    "`ledger.id` in the configuration, compared with the genesis record",
)
def test_a_configured_id_binds_the_ledger_in_any_clone(proven: Repository, foreign: Repository) -> None:
    """The id is in the first record of the service."""
    first = record_at(opened(proven), layout.seq_entry_path("api", 1, "release"))
    assert first.envelope.genesis is not None
    pinned = {"id": first.envelope.genesis.ledger}
    assert opened(proven, settings=pinned).unproven is None
    error = opened(foreign, settings=pinned).unproven
    assert error is not None
    assert "foreign-ledger" in error.found


@pytest.mark.attack(
    "a record of a service of another repository, without required signatures",
    "the rule that a service has a genesis in this ledger, or is configured here",
)
def test_a_foreign_service_is_refused(proven: Repository) -> None:
    """A configured one that an older version released is not."""
    plain(proven)
    before = head(proven)
    commit = intruder.append(proven, release("1.0.0", service="stranger", content="s", at=LATE))
    assert "foreign-service" in refused(plain(proven), commit, before).found
    assert plain(proven, services=("api", "stranger")).unproven is None


CHANGES: dict[str, Callable[[Repository, Ledger], dict[str, bytes | None]]] = {
    "changes a record": lambda _, ledger: {
        layout.record_path(release_of(ledger, "0.1.0").id): b"{}\n",
    },
    "changes an index entry": lambda _, ledger: {
        layout.version_entry_path("api", "0.2.0"): f"{release_of(ledger, '0.1.0').id}\n".encode(),
    },
    "deletes a record": lambda _, ledger: {layout.record_path(release_of(ledger, "0.1.0").id): None},
    "adds a foreign file": lambda *_: {"README.md": b"hello\n"},
    "adds nothing": lambda *_: {},
}


@pytest.mark.attack(
    "a commit that changes or deletes a path of the ledger, without required signatures",
    "the rule that a commit adds records and their entries, and does nothing else",
)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_path_is_refused_on_every_read(proven: Repository, change: str) -> None:
    """Not by `verify --ledger` alone."""
    ledger = plain(proven)
    before = head(proven)
    commit = intruder.commit(proven, CHANGES[change](proven, ledger))
    refused(plain(proven), commit, before)


@pytest.mark.attack(
    "a clone with `--depth 1 --no-single-branch`, whose boundary commit seems to have added every file",
    "the proof: a shallow clone fetches the whole ledger before it reads any of it",
)
def test_a_shallow_clone_proves_the_whole_ledger(
    proven: Repository, server: Repository, tmp_path: Path
) -> None:
    """An unsigned release is found behind the boundary."""
    before = head(proven)
    commit = intruder.append(proven, release("9.0.0", at=LATE))
    intruder.append(proven, note("honest", at=LATE), sign=True)
    proven.git("push", "-q", str(server.root), BRANCH)
    ci = Repository.clone(
        f"file://{server.root}", tmp_path / "ci", "--depth=1", "--no-single-branch", "--branch=main"
    )
    shutil.copyfile(proven.root / SIGNERS, ci.root / SIGNERS)
    for key in ("gpg.format", "user.signingKey"):
        ci.git("config", key, proven.git("config", key))
    ledger = opened(ci, settings={"remote": "origin"})
    ledger.refresh()
    refused(ledger, commit, before)


@pytest.mark.attack("a line in `.git/info/grafts` that hides an unsigned commit", "git is run without grafts")
def test_grafts_hide_nothing(proven: Repository) -> None:
    """The commit's own parents count."""
    before = head(proven)
    commit = intruder.append(proven, release("9.0.0", at=LATE))
    tip = intruder.append(proven, note("honest", at=LATE), sign=True)
    proven.write(".git/info/grafts", f"{tip} {before}\n")
    refused(opened(proven), commit, before)


@pytest.mark.attack(
    "a rewind of the server's branch that only git's own tracking branch shows",
    "the server's branch must contain every commit that this clone remembers",
)
def test_a_rewind_is_told_from_the_tracking_branch(
    ada: Repository, server: Repository, tmp_path: Path
) -> None:
    """A fresh clone has nothing else to remember."""
    ledger = samples.ledger(ada.root, remote="origin")
    ledger.append([note("1")])
    ledger.append([note("2")])
    fresh = Repository.clone(server, tmp_path / "fresh")
    server.git("update-ref", BRANCH, f"{BRANCH}~1")
    with pytest.raises(LedgerRewritten):
        samples.ledger(fresh.root, remote="origin").refresh()


def test_a_rewind_behind_the_verified_head_is_refused(proven: Repository) -> None:
    """Also where no remote remembers anything."""
    opened(proven)
    proven.git("update-ref", BRANCH, f"{BRANCH}~1")
    with pytest.raises(LedgerRewritten, match="this clone proved the ledger up to"):
        opened(proven)


# records that cannot be read


def _odd(change: Callable[[dict[str, object]], object], text: Callable[[str], str] = str) -> bytes:
    data = samples.note("odd", at=LATE).at(7, digits("before")).to_json()
    change(data)
    return f"{text(json.dumps(data, sort_keys=True, separators=(',', ':')))}\n".encode(
        "utf-8", "surrogatepass"
    )


ODD = {
    "a number of 2**60": _odd(lambda data: data.update(seq=2**60)),
    "a number of 5,000 digits": _odd(
        lambda data: data.update(seq=1), lambda text: text.replace("1,", "9" * 5000 + ",", 1)
    ),
    "a lone surrogate": _odd(lambda data: data.update(text="\ud800")),
    "100,000 levels": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    "month 99": _odd(lambda data: data.update(recorded_at="2026-99-20T12:00:00.000Z")),
    "not a number": _odd(lambda data: data.update(seq=float("nan"))),
    "a service with a path": _odd(lambda data: data.update(service="../../x")),
    "a list": b"[]\n",
    "no UTF-8": b'{"kind":"\xff"}\n',
    "nothing": b"",
}


@pytest.mark.attack(
    "one malformed record: a number of 2**60, a lone surrogate, 100,000 levels, month 99, a bad index path",
    "the limits of `records.parse`, and the proof, which names the commit and stops before it",
)
@pytest.mark.parametrize("kind", ODD)
def test_a_malformed_record_ends_nothing(proven: Repository, kind: str) -> None:
    """What was proven is read; the commit is named in one sentence."""
    plain(proven)
    before, content = head(proven), ODD[kind]
    name = sha256(content).hexdigest()
    commit = intruder.commit(proven, {layout.record_path(name): content})
    ledger = plain(proven)
    error = refused(ledger, commit, before)
    assert len(str(error)) < 2_000
    assert query.current_deployment(ledger, "api", "production") is not None


@pytest.mark.parametrize(
    "path", ["index/api/seq/x", "index/api/version/0/\udcff", "index/../x", "index/api/a\nb", "index/é/x"]
)
def test_a_bad_index_path_ends_nothing(proven: Repository, path: str) -> None:
    """Whatever git takes for a name."""
    plain(proven)
    before = head(proven)
    parts, content = path.split("/"), f"{'0' * 64}\n".encode()
    blob = proven.git("hash-object", "-w", "--stdin", stdin=content)
    commit = _deep(proven, parts, blob)
    refused(plain(proven), commit, before)


def _deep(repository: Repository, parts: list[str], blob: str) -> str:
    """A commit whose tree has one more file, built by hand: git's index refuses some names."""
    import subprocess

    def tree_with(tree: str | None, names: list[str]) -> str:
        rows: dict[bytes, bytes] = {}
        if tree is not None:
            out = subprocess.run(
                ["git", "ls-tree", "-z", tree], cwd=repository.root, capture_output=True, check=True
            ).stdout
            for row in filter(None, out.split(b"\0")):
                facts, _, name = row.partition(b"\t")
                rows[name] = facts
        name = names[0].encode("utf-8", "surrogateescape")
        if len(names) == 1:
            rows[name] = b"100644 blob " + blob.encode()
        else:
            known = rows.get(name, b"").split()
            below = known[2].decode() if known and known[1] == b"tree" else None
            rows[name] = b"040000 tree " + tree_with(below, names[1:]).encode()
        made = subprocess.run(
            ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
            input=_raw(rows),
            cwd=repository.root,
            capture_output=True,
            check=True,
        )
        return made.stdout.decode().strip()

    tree = tree_with(repository.git("rev-parse", f"{BRANCH}^{{tree}}"), parts)
    at = repository.git("log", "-1", "--format=%ct", BRANCH)
    made = repository.git(
        *("commit-tree", "-m", "x", "-p", BRANCH, tree), env={"GIT_COMMITTER_DATE": f"@{at} +0000"}
    )
    repository.git("update-ref", BRANCH, made)
    return made


def _raw(rows: dict[bytes, bytes]) -> bytes:
    """A tree object's bytes."""
    pieces = []
    for name, facts in sorted(rows.items(), key=lambda row: row[0] + b"/" * row[1].startswith(b"040000")):
        mode, _, oid = facts.split()
        pieces.append(mode.lstrip(b"0") + b" " + name + b"\0" + bytes.fromhex(oid.decode()))
    return b"".join(pieces)


# what goes on


def test_an_event_waits_in_the_clone_while_the_ledger_is_not_proven(proven: Repository) -> None:
    """A rollback is recorded here, and published once the branch is mended."""
    before = head(proven)
    one = release_of(opened(proven), "0.1.0")
    intruder.append(proven, note("unsigned", at=LATE))
    ledger = opened(proven)
    assert ledger.append_events([event(one, deployment="back", at=LATE)]) is None
    current = query.current_deployment(ledger, "api", "production")
    assert current is not None
    assert (current.deployment.release, current.record) == (one.id, None)
    proven.git("update-ref", BRANCH, before)
    mended = opened(proven)
    assert (mended.unproven, mended.sync()) == (None, 1)


def test_a_branch_that_was_mended_on_the_server_is_followed(
    signed: Repository, server: Repository, ada: Repository, keys: Path
) -> None:
    """The commits that the server lost never were proven; nobody has to touch the clone."""
    for clone in (ada,):
        shutil.copyfile(signed.root / SIGNERS, clone.root / SIGNERS)
        use(clone, keys / "ada")
    ledger = opened(ada, settings={"remote": "origin"})
    ledger.append([note("1", at=moment(1))])
    good = head(ada)
    bad = intruder.append(ada, note("unsigned", at=LATE))
    ada.git("push", "-q", "origin", BRANCH)
    ledger = opened(ada, settings={"remote": "origin"})
    ledger.refresh()
    refused(ledger, bad, good)
    server.git("update-ref", BRANCH, good)
    mended = opened(ada, settings={"remote": "origin"})
    mended.refresh()
    assert (mended.head, mended.unproven) == (good, None)
    mended.append([note("2", at=moment(2))])
    assert server.git("rev-parse", f"{BRANCH}~1") == good


def test_an_allowed_signer_vouches_for_what_came_before(proven: Repository) -> None:
    """A person looked at an honest commit that was not signed; from then on every clone believes it."""
    commit = intruder.append(proven, note("honest", at=LATE))
    assert opened(proven).head != commit
    (record,) = opened(proven, vouching=True).append([note("vouched", at=LATE)])
    assert record.envelope.verified_head == commit
    for fresh in (False, True):
        if fresh:
            forget(proven)
        ledger = opened(proven)
        assert (ledger.head, ledger.unproven) == (head(proven), None)


def test_vouching_does_not_make_a_broken_rule_good(proven: Repository) -> None:
    """Signatures alone are what a person can vouch for."""
    intruder.commit(proven, {"README.md": b"hello\n"})
    with pytest.raises(LedgerUnproven, match="foreign-path"):
        opened(proven, vouching=True).append([note("vouched", at=LATE)])


def test_the_own_key_is_asked_for_once(proven: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback does not wait for a check of its own signature."""

    def unexpected(*_: object) -> list[Signature]:
        raise AssertionError("the signature was checked again")

    monkeypatch.setattr(git_objects, "read_signatures", unexpected)
    opened(proven).append([note("again", at=LATE)])


def test_a_signature_that_others_would_refuse_is_not_published(proven: Repository, keys: Path) -> None:
    """The writer hears of it, and not the next reader."""
    before = head(proven)
    use(proven, keys / "eve")
    with pytest.raises(LedgerUnsigned, match="with your signature"):
        opened(proven).append([note("eve", at=LATE)])
    assert head(proven) == before


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 64 + b"\n{}"])
def test_a_damaged_memory_costs_a_longer_proof_and_nothing_else(proven: Repository, damage: bytes) -> None:
    """The seal of the clone tells."""
    opened(proven)
    for memory in (proven.root / ".git/release/verified").rglob("*"):
        if memory.is_file():
            memory.write_bytes(damage)
    ledger = opened(proven)
    assert (ledger.head, ledger.unproven) == (head(proven), None)


def test_other_signers_mean_another_proof(proven: Repository, keys: Path) -> None:
    """What was proven under other keys does not count."""
    opened(proven)
    proven.write(SIGNERS, f"eve@example.org {(keys / 'eve.pub').read_text()}")
    assert isinstance(opened(proven).unproven, LedgerUnsigned)


def test_each_record_of_a_strict_writer_vouches(proven: Repository) -> None:
    """So a fresh clone checks one signature, the newest."""
    newest = last = intruder.last_of(proven, "api")
    assert newest is not None
    assert last is not None
    assert last.envelope.verified_head == proven.git("rev-parse", f"{BRANCH}~1")
    assert last.envelope.actor == ADA


def test_one_genesis_binds_each_service(proven: Repository) -> None:
    """The first record of a service has it, the next ones do not; all name one ledger."""
    ledger = opened(proven, services=("api", "web"))
    ledger.append([release("1.0.0", service="web", content="web", at=LATE)])
    first = {
        service: record_at(ledger, layout.seq_entry_path(service, 1, "release")).envelope.genesis
        for service in ("api", "web")
    }
    later = record_at(ledger, layout.seq_entry_path("api", 2, "deployment")).envelope.genesis
    roots = proven.git("rev-list", "--max-parents=0", "main").split()
    assert later is None
    assert {genesis.ledger for genesis in first.values() if genesis} == {
        genesis.ledger for genesis in [first["api"]] if genesis
    }
    assert [list(genesis.roots) for genesis in first.values() if genesis] == [roots, roots]


def test_an_existing_ledger_is_bound_by_its_next_record(here: Repository) -> None:
    """Its older records stay as they are."""
    samples.ledger(here.root).append([note("older")])
    (record,) = plain(here).append([note("newer", at=LATE)])
    assert record.envelope.genesis is not None
    forget(here)
    assert plain(here).unproven is None


def test_a_rollback_gets_past_a_record_that_it_does_not_need(proven: Repository) -> None:
    """A record is damaged on this disk: the release before it is found with its settings, and one warning."""
    ledger = opened(proven)
    damaged = next(query.deployments(ledger, "api", "production")).record
    assert damaged is not None
    blob = proven.git("rev-parse", f"{BRANCH}:{layout.record_path(damaged)}")
    (proven.root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    told: list[str] = []
    source, settings = Source.open(proven.root), Settings.model_validate(STRICT)
    again = open_ledger(source, settings, ("api",), lambda _: None, told.append)
    found = query.find(again, "api", "0.1.0", environment="production")
    settled = query.last_healthy(again, "api", "production", found.release.id)
    assert settled is not None
    assert [event.recorded_at for event in query.deployments(again, "api", "production")] == [moment(2)]
    assert len(told) == len(again.skipped) == 1


@pytest.mark.attack(
    "so many commits that no proof of them ends soon, to stop a rollback",
    "the time limit of a proof: the command goes by what it proved, and the next one goes on from there",
)
def test_a_long_proof_stops_and_goes_on_later(proven: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command gets one commit further here, and reads that far."""
    opened(proven)
    for minute in (61, 62, 63):
        intruder.append(proven, note(f"{minute}", at=moment(minute)), sign=True)
    monkeypatch.setattr(proof, "NEW_SECONDS", -1.0)
    heads = []
    for _ in range(3):
        ledger = opened(proven)
        heads.append((ledger.head, ledger.unproven is None))
    assert heads == [
        (proven.git("rev-parse", f"{BRANCH}~2"), False),
        (proven.git("rev-parse", f"{BRANCH}~1"), False),
        (head(proven), True),
    ]


# tips that git or the library cannot read


def _no_committer(repository: Repository) -> str:
    tree, tip = repository.git("rev-parse", f"{BRANCH}^{{tree}}"), head(repository)
    content = f"tree {tree}\nparent {tip}\nauthor a <a> 1 +0000\n\nx\n"
    return _commit_object(repository, content)


def _no_time(repository: Repository) -> str:
    tree, tip = repository.git("rev-parse", f"{BRANCH}^{{tree}}"), head(repository)
    content = f"tree {tree}\nparent {tip}\nauthor a <a> 1 +0000\ncommitter a <a> notatime\n\nx\n"
    return _commit_object(repository, content)


def _twice_in_a_folder(repository: Repository) -> str:
    rows = repository.git("ls-tree", BRANCH).splitlines()
    raw = b"".join(_raw_row(row) for row in [*rows, rows[-1]])
    return _commit_of_tree(repository, raw)


def _odd_mode(repository: Repository) -> str:
    rows = repository.git("ls-tree", BRANCH).splitlines()
    return _commit_of_tree(repository, b"".join(_raw_row(row) for row in rows).replace(b"100644 ", b"644 "))


def _without_format(repository: Repository) -> str:
    return intruder.commit(repository, {"format": None})


def _later_format(repository: Repository) -> str:
    return intruder.commit(repository, {"format": b"release-ledger 2.0\n"})


def _other_format(repository: Repository) -> str:
    return intruder.commit(repository, {"format": b"\xff\x00"})


def _raw_row(row: str) -> bytes:
    mode, _, oid, name = row.replace("\t", " ").split(" ", 3)
    return mode.lstrip("0").encode() + b" " + name.encode() + b"\0" + bytes.fromhex(oid)


def _commit_of_tree(repository: Repository, raw: bytes) -> str:
    tree = repository.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)
    tip, at = head(repository), repository.git("log", "-1", "--format=%ct", BRANCH)
    who = f"a <a> {at} +0000"
    return _commit_object(repository, f"tree {tree}\nparent {tip}\nauthor {who}\ncommitter {who}\n\nx\n")


def _commit_object(repository: Repository, content: str) -> str:
    words = ("hash-object", "-t", "commit", "-w", "--literally", "--stdin")
    made = repository.git(*words, stdin=content.encode())
    repository.git("update-ref", BRANCH, made)
    return made


TIPS = (
    *(_no_committer, _no_time, _twice_in_a_folder, _odd_mode),
    *(_without_format, _later_format, _other_format),
)


@pytest.mark.attack(
    "an unsigned commit without a committer or a time, with a folder that git would not make, or with "
    "another `format` file, to stop every command",
    "the proof: nothing of a commit is read before it is proven, and a rollback goes by the verified head",
)
@pytest.mark.parametrize("tip", TIPS, ids=lambda tip: tip.__name__.strip("_"))
def test_an_odd_commit_stops_no_rollback(proven: Repository, tip: Callable[[Repository], str]) -> None:
    """What ran is found, and `verify --ledger` ends."""
    opened(proven)
    before = head(proven)
    commit = tip(proven)
    ledger = opened(proven)
    assert (ledger.head, ledger.unproven is not None) == (before, True)
    assert query.find(ledger, "api", "0.1.0", environment="production").release.body.version == "0.1.0"
    source = Source.open(proven.root)
    report = verify(source, Settings.model_validate({**STRICT, "require_signed": False}))
    assert commit in {violation.commit for violation in report.violations} or report.violations


NAMES = {
    "an environment with a path": (b'"production"', b'"production/2099/12/31"'),
    "an environment without a name": (b'"production"', b'""'),
    "a service with a path": (b'"service":"api"', b'"service":"../api"'),
    "a version that is none": (b'"8.0.0"', b'"0.not-semver"'),
    "a version with a path": (b'"8.0.0"', b'"9/9/9"'),
    "a version with 5,000 digits": (b'"8.0.0"', b'"' + b"9" * 5000 + b'.0.0"'),
    "a tag with an option": (b'"v8.0.0"', b'"--upload-pack=x"'),
    "a repository that is none": (b'"localhost/api"', b'"-x"'),
}


@pytest.mark.attack(
    "a record whose environment, service, version, tag or repository is not a name, as `production/2099`",
    "the types of a record's names; the commit is named, and nothing is read past it",
)
@pytest.mark.parametrize("name", NAMES)
def test_an_odd_name_in_a_record_ends_nothing(proven: Repository, name: str) -> None:
    """Names become paths, tags and references."""
    plain(proven)
    before, (good, odd) = head(proven), NAMES[name]
    draft = event("0" * 64, at=LATE) if "environment" in name else release("8.0.0", content="x", at=LATE)
    content = intruder.placed(proven, draft).to_bytes()
    assert good in content
    forged = content.replace(good, odd)
    files = {layout.record_path(sha256(forged).hexdigest()): forged}
    commit = intruder.commit(proven, files, seconds=_at(LATE))
    assert "record-unreadable" in refused(plain(proven), commit, before).found


@pytest.mark.attack(
    "a malformed signature that ends git's own check of it",
    "a signature that git could not check counts as none; verify --ledger names its commit",
)
def test_a_malformed_signature_stops_no_rollback(proven: Repository) -> None:
    """Junk in the place of an ssh signature, and a message of a megabyte."""
    opened(proven)
    before = head(proven)
    honest = intruder.append(proven, note("junk", at=LATE))
    fields, _, _ = proven.git("cat-file", "commit", honest).partition("\n\n")
    signature = "gpgsig -----BEGIN SSH SIGNATURE-----\n !!!\n -----END SSH SIGNATURE-----"
    commit = _commit_object(proven, f"{fields}\n{signature}\n\n{'x' * 1_000_000}\n")
    refused(opened(proven), commit, before)
    report = verify(Source.open(proven.root), Settings.model_validate(STRICT))
    assert commit in {violation.commit for violation in report.violations}


@pytest.mark.attack(
    "many well-formed commits that a foreign key signed, to make every command slow",
    "the clone remembers which commits it judged, and checks new signatures alone",
)
def test_signatures_are_judged_once(proven: Repository, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later allowed signer who vouches for them is still heard."""
    opened(proven)
    before = head(proven)
    use(proven, keys / "eve")
    first = intruder.append(proven, note("eve 0", at=moment(61)), sign=True)
    intruder.append(proven, note("eve 1", at=moment(62)), sign=True)
    refused(opened(proven), first, before)
    asked: list[str] = []

    def counted(git: object, signers: object, commits: list[str]) -> list[Signature]:
        asked.extend(commits)
        return signing.read_signatures(git, signers, commits)  # type: ignore[arg-type]

    monkeypatch.setattr(proof, "read_signatures", counted)
    refused(opened(proven), first, before)
    assert set(asked) == {first}
    use(proven, keys / "ada")
    opened(proven, vouching=True).append([note("vouched", at=moment(63))])
    assert opened(proven).unproven is None


@pytest.mark.attack(
    "a fetch that is cut off after the commit came and before its files",
    "a fetch is one pack, and the branch moves only to a commit that is here with all that belongs to it",
)
def test_half_a_fetch_moves_nothing(
    ada: Repository, bob: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is in the clone without its files; the next fetch brings them."""
    samples.ledger(ada.root, remote="origin").append([note("1")])
    mine = samples.ledger(bob.root, remote="origin")
    assert mine.refresh()
    before = mine.head
    samples.ledger(ada.root, remote="origin").append([note("2")])
    tip = head(ada)
    content = ada.git("cat-file", "commit", tip) + "\n"
    assert bob.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=content.encode()) == tip
    with monkeypatch.context() as patch:
        cut = Answer(status=-9, out=b"", errors="cut off")
        patch.setattr(Remote, "fetch", lambda *_: cut)
        assert not samples.ledger(bob.root, remote="origin").refresh()
    assert bob.git("rev-parse", "refs/release/origin/release-ledger") == before
    again = samples.ledger(bob.root, remote="origin")
    assert (again.refresh(), again.head) == (True, tip)


def test_git_refuses_objects_that_it_would_not_make(
    ada: Repository, bob: Repository, server: Repository
) -> None:
    """A folder with a file twice does not get into a clone."""
    samples.ledger(ada.root, remote="origin").append([note("1")])
    mine = samples.ledger(bob.root, remote="origin")
    assert mine.refresh()
    before = mine.head
    _twice_in_a_folder(ada)
    ada.git("push", "-q", "origin", BRANCH)
    again = samples.ledger(bob.root, remote="origin")
    assert (again.refresh(), again.head) == (False, before)
    assert again.silence is not None


@pytest.mark.attack(
    "a record of an unknown kind with entries in known indexes: a freeze, a quarantine, an end of the order",
    "the rule that a later version's record has its place in the order, and no entry in a known index",
)
@pytest.mark.parametrize(
    "path",
    [
        "index/api/seq/zzz",
        "index/api/freeze/production/999999999",
        f"index/api/quarantine/aa/{'a' * 64}-000000009",
        "index/api/environment/production/2099/12/31/000000000-" + "a" * 64,
        "index/web/later/x/y",
    ],
)
def test_a_record_of_a_later_version_gets_into_no_index_that_is_read(proven: Repository, path: str) -> None:
    """Its own place in the order is one thing, this entry another."""
    plain(proven)
    before = head(proven)
    name, files = _later(proven)
    commit = intruder.commit(proven, {**files, path: f"{name}\n".encode()}, seconds=_at(LATE))
    assert "index-unfounded" in refused(plain(proven), commit, before).found


def test_a_record_of_a_later_version_is_passed_over(proven: Repository) -> None:
    """With its place in the order, and an index that this version does not know."""
    plain(proven)
    name, files = _later(proven)
    intruder.commit(proven, {**files, "index/api/later/x/y": f"{name}\n".encode()}, seconds=_at(LATE))
    ledger = plain(proven)
    assert (ledger.head, ledger.unproven) == (head(proven), None)
    assert query.current_deployment(ledger, "api", "production") is not None
    (record,) = ledger.append([note("next", at=LATE)])
    assert record.envelope.prev == name


def _later(repository: Repository) -> tuple[str, dict[str, bytes]]:
    """The id and the files of the next record of api, of a kind that a later version may have."""
    record = intruder.placed(repository, note("later", at=LATE))
    content = record.to_bytes().replace(b'"kind":"note"', b'"kind":"zzz"')
    name = sha256(content).hexdigest()
    place = layout.seq_entry_path("api", record.envelope.seq, "zzz")
    return name, {layout.record_path(name): content, place: f"{name}\n".encode()}


@pytest.mark.attack(
    "a look at a pull request that does not require signatures, after an unsigned commit was pushed",
    "what is proven without signatures is remembered apart from what is proven with them",
)
def test_a_weaker_policy_does_not_spoil_the_verified_head(
    signed: Repository, server: Repository, ada: Repository, keys: Path
) -> None:
    """The server is mended, and the clone follows."""
    shutil.copyfile(signed.root / SIGNERS, ada.root / SIGNERS)
    use(ada, keys / "ada")
    opened(ada, settings={"remote": "origin"}).append([note("1", at=moment(1))])
    good = head(ada)
    intruder.append(ada, note("unsigned", at=LATE))
    ada.git("push", "-q", "origin", BRANCH)
    weak = opened(ada, settings={"remote": "origin", "require_signed": False})
    weak.refresh()
    assert weak.unproven is None
    server.git("update-ref", BRANCH, good)
    strict = opened(ada, settings={"remote": "origin"})
    strict.refresh()
    assert (strict.head, strict.unproven) == (good, None)


@pytest.mark.parametrize("lie", ["another commit", "a missing object"])
def test_a_reference_without_its_seal_stops_nothing(proven: Repository, lie: str) -> None:
    """As a cache of `.git` that somebody else wrote may have it."""
    opened(proven)
    ref = proven.root / ".git/refs/release-verified-signed/local/release-ledger"
    ref.write_text(f"{proven.git('rev-parse', 'main') if lie == 'another commit' else '1' * 40}\n")
    ledger = opened(proven)
    assert (ledger.head, ledger.unproven) == (head(proven), None)
    shutil.rmtree(proven.root / ".git" / "release" / "verified")
    if lie == "a missing object":
        assert opened(proven).unproven is None
