"""What a verification proves: every tampering is named, and no clean ledger is."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.config import Ledger as Settings
from release.errors import LedgerError, NotALedger, VersionTaken
from release.git.source import Source
from release.ledger import layout
from release.ledger.verify import verify
from release.ledger.violations import KINDS, Violation
from release.records import Body, Draft, Record, Release
from release.values import replace
from tests.unit.ledger import samples
from tests.unit.ledger.forge import BRANCH, Forgery, Made, story, verified
from tests.unit.ledger.samples import digits, event, moment, note, release, tagged
from tests.unit.repository import Repository

LATE = moment(60)


@pytest.fixture(scope="session")
def _told(_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose ledger has a story, made once."""
    root = tmp_path_factory.mktemp("told") / "told"
    shutil.copytree(_world / "here", root)
    story(Repository(root))
    return root


@pytest.fixture
def told(_told: Path, tmp_path: Path) -> Repository:
    """This test's copy of it."""
    return Repository(Path(shutil.copytree(_told, tmp_path / "told")))


# tampering


def _edited_record(forgery: Forgery) -> None:
    made = forgery.commits[0]
    content = made.content(made.record).replace(b"Ada", b"Eve")
    forgery.next(note("x", at=LATE)).put(made.record, content)


def _edited_where_it_was_written(forgery: Forgery) -> None:
    made = forgery.commits[5]
    made.put(made.record, made.content(made.record).replace(b"Ada", b"Eve"))


def _deleted_record(forgery: Forgery) -> None:
    forgery.next(note("x", at=LATE)).files[forgery.commits[0].record] = None


def _renamed_record(forgery: Forgery) -> None:
    made = forgery.commits[7]
    digest = digits("another name")
    made.put(layout.record_path(digest), made.content(made.record))
    del made.files[made.record]


def _moved_record(forgery: Forgery) -> None:
    made = forgery.commits[0]
    later = forgery.next(note("x", at=LATE))
    later.put(f"records/{digits('elsewhere')}.json", made.content(made.record))
    later.files[made.record] = None


def _swapped_index(forgery: Forgery) -> None:
    made, other = forgery.commits[5], forgery.record(0)
    made.put(made.index("version"), f"{other.id}\n")


def _changed_index(forgery: Forgery) -> None:
    path = forgery.commits[0].index("version")
    forgery.next(note("x", at=LATE)).put(path, f"{forgery.record(5).id}\n")


def _index_that_is_no_id(forgery: Forgery) -> None:
    made = forgery.commits[5]
    made.put(made.index("commit"), "latest\n")


def _missing_index(forgery: Forgery) -> None:
    made = forgery.commits[5]
    del made.files[made.index("digest")]


def _deleted_index(forgery: Forgery) -> None:
    forgery.next(note("x", at=LATE)).files[forgery.commits[2].index("healthy")] = None


def _index_of_nothing(forgery: Forgery) -> None:
    forgery.next(note("x", at=LATE)).put("index/api/version/9/9.9.9", f"{'0' * 64}\n")


def _index_of_another_record(forgery: Forgery) -> None:
    forgery.next(note("x", at=LATE)).put("index/api/version/9/9.9.9", f"{forgery.record(0).id}\n")


def _event_at_another_time(forgery: Forgery) -> None:
    made = forgery.commits[2]
    path = made.index("environment")
    body = forgery.record(2)
    made.files[layout.event_entry_path("api", "production", moment(30), body.id)] = made.files.pop(path)


def _merge(forgery: Forgery) -> None:
    forgery.commits[4].merge = True


def _forged_prev(forgery: Forgery) -> None:
    forgery.append(note("x", at=LATE), 7, digits("nobody"))


def _no_prev(forgery: Forgery) -> None:
    forgery.append(note("x", at=LATE), 7, None)


def _gap(forgery: Forgery) -> None:
    forgery.append(note("x", at=LATE), 9, forgery.record(7).id)


def _repeated_seq(forgery: Forgery) -> None:
    forgery.append(event("0" * 64, deployment="x", at=LATE), 6, forgery.record(7).id)


def _seq_of_another_service(forgery: Forgery) -> None:
    forgery.append(note("x", service="web", at=LATE), 7, forgery.record(7).id)


def _removed_from_the_middle(forgery: Forgery) -> None:
    del forgery.commits[2]


def _reordered(forgery: Forgery) -> None:
    one, two = forgery.commits[1], forgery.commits[2]
    forgery.commits[1:3] = [two, one]


def _reordered_with_times_to_match(forgery: Forgery) -> None:
    _reordered(forgery)
    for made in forgery.commits[1:3]:
        made.seconds = forgery.commits[2].seconds


def _squashed(forgery: Forgery) -> None:
    files = {path: there for made in forgery.commits for path, there in made.files.items()}
    forgery.commits[:] = [Made(files=files, seconds=forgery.commits[-1].seconds + 3600)]


def _time_of_the_commit(forgery: Forgery) -> None:
    forgery.commits[-1].seconds += 7


def _second_release_of_a_version(forgery: Forgery) -> None:
    made = forgery.next(_tagged_like(forgery, release("1.0.0", content="other", at=LATE)))
    assert made.index("version") == forgery.commits[0].index("version")
    del made.files[made.index("version")]


def _version_taken_over(forgery: Forgery) -> None:
    forgery.next(_tagged_like(forgery, release("1.0.0", content="other", at=LATE)))


def _version_released_while_its_index_is_missing(forgery: Forgery) -> None:
    made = forgery.commits[0]
    del made.files[made.index("version")]
    forgery.next(_tagged_like(forgery, release("1.0.0", content="other", at=LATE)))


def _two_versions_of_a_digest(forgery: Forgery) -> None:
    draft = release("3.0.0", content="1.0.0", at=LATE)
    made = forgery.next(_tagged_like(forgery, draft))
    del made.files[made.index("digest")]


def _tagged_like(forgery: Forgery, draft: Draft[Body]) -> Draft[Body]:
    """The same release on a commit of its own, with its tag where it says."""
    assert isinstance(draft.body, Release)
    commit = forgery.repository.commit(f"feat: {draft.body.image.digest}")
    tag = f"extra/{draft.body.version}"
    forgery.repository.git("tag", tag, commit)
    source = draft.body.source.model_copy(update={"commit": commit, "tag": tag})
    return replace(draft, body=draft.body.model_copy(update={"source": source}))


def _foreign_file(forgery: Forgery) -> None:
    forgery.next(note("x", at=LATE)).put("README.md", "hello\n")


def _foreign_index(forgery: Forgery) -> None:
    forgery.next(note("x", at=LATE)).put("index/api/latest", "1.1.0\n")


def _record_elsewhere(forgery: Forgery) -> None:
    made = forgery.commits[7]
    content = made.content(made.record)
    forgery.next(note("x", at=LATE)).put(f"archive/{made.record}", content)


def _white_space(forgery: Forgery) -> None:
    _rewritten(forgery, 7, lambda content: json.dumps(json.loads(content), indent=1).encode() + b"\n")


def _unknown_kind(forgery: Forgery) -> None:
    _rewritten(forgery, 7, lambda content: content.replace(b'"kind":"note"', b'"kind":"node"'))


def _no_json(forgery: Forgery) -> None:
    _rewritten(forgery, 7, lambda content: content[:-20])


def _rewritten(forgery: Forgery, place: int, change: Callable[[bytes], bytes]) -> None:
    """A record with other bytes, named and indexed by their hash."""
    made = forgery.commits[place]
    content = change(made.content(made.record))
    name = hashlib.sha256(content).hexdigest()
    del made.files[made.record]
    for path in list(made.files):
        made.put(path, f"{name}\n")
    made.put(layout.record_path(name), content)


def _executable(forgery: Forgery) -> None:
    made = forgery.commits[5]
    made.put(made.record, made.content(made.record), "100755")


def _becomes_executable(forgery: Forgery) -> None:
    made = forgery.commits[5]
    forgery.next(note("x", at=LATE)).put(made.record, made.content(made.record), "100755")


def _symlink(forgery: Forgery) -> None:
    made = forgery.commits[5]
    forgery.next(note("x", at=LATE)).put(made.record, "/etc/passwd", "120000")


def _submodule(forgery: Forgery) -> None:
    forgery.next(note("x", at=LATE)).put("index/api/code", digits("code", 40), "160000")


def _changed_format(forgery: Forgery) -> None:
    forgery.next(note("x", at=LATE)).put("format", "release-ledger 1.1\n")


def _other_format(forgery: Forgery) -> None:
    forgery.commits[0].put("format", "release-ledger 1.0")


def _no_format(forgery: Forgery) -> None:
    del forgery.commits[0].files["format"]
    forgery.commits[3].put("format", "release-ledger 1.0\n")


def _empty_commit(forgery: Forgery) -> None:
    forgery.commits.insert(4, Made(files={}, seconds=forgery.commits[3].seconds))


def _moved_tag(forgery: Forgery) -> None:
    forgery.repository.git("tag", "-f", "v1.0.0", "main")


def _deleted_tag(forgery: Forgery) -> None:
    forgery.repository.git("tag", "-d", "v1.1.0")


@dataclass(frozen=True)
class Case:
    """A tampering, every kind of violation that it is named by, and the path of the one that tells most."""

    tamper: Callable[[Forgery], None]
    kinds: set[str]
    path: str = ""


CASES = [
    Case(_edited_record, {"changed"}, "records/"),
    Case(_edited_where_it_was_written, {"record-name", "seq-gap", "prev"}, "records/"),
    Case(_deleted_record, {"deleted"}, "records/"),
    Case(_renamed_record, {"record-name", "index-unfounded"}, "records/"),
    Case(_moved_record, {"deleted", "foreign-path"}, "records/"),
    Case(_swapped_index, {"index-wrong"}, "index/api/version/1/1.1.0"),
    Case(_changed_index, {"changed"}, "index/api/version/1/1.0.0"),
    Case(_index_that_is_no_id, {"index-wrong"}, "index/api/commit/"),
    Case(_missing_index, {"index-missing"}, "index/api/digest/"),
    Case(_deleted_index, {"deleted", "index-missing"}, "index/api/healthy/"),
    Case(_index_of_nothing, {"index-unfounded"}, "index/api/version/9/9.9.9"),
    Case(_index_of_another_record, {"index-unfounded"}, "index/api/version/9/9.9.9"),
    Case(_event_at_another_time, {"event-time"}, "index/api/environment/production/2026/11/20/123000000-"),
    Case(_merge, {"merge"}),
    Case(_forged_prev, {"prev"}, "records/"),
    Case(_no_prev, {"prev"}, "records/"),
    Case(_gap, {"seq-gap"}, "records/"),
    Case(_repeated_seq, {"seq-repeated"}, "records/"),
    Case(_seq_of_another_service, {"seq-gap", "prev"}, "records/"),
    Case(_removed_from_the_middle, {"seq-gap", "prev"}, "records/"),
    Case(_reordered, {"seq-gap", "seq-repeated", "prev", "commit-time"}),
    Case(_reordered_with_times_to_match, {"seq-gap", "seq-repeated", "prev", "commit-time"}),
    Case(_squashed, {"commit-time"}),
    Case(_time_of_the_commit, {"commit-time"}),
    Case(_second_release_of_a_version, {"version-twice"}, "index/api/version/1/1.0.0"),
    Case(_version_taken_over, {"version-twice", "changed"}, "index/api/version/1/1.0.0"),
    Case(
        _version_released_while_its_index_is_missing, {"version-twice", "index-missing"}, "index/api/version/"
    ),
    Case(_two_versions_of_a_digest, {"digest-twice"}, "index/api/digest/"),
    Case(_foreign_file, {"foreign-path"}, "README.md"),
    Case(_foreign_index, {"index-unfounded"}, "index/api/latest"),
    Case(_record_elsewhere, {"foreign-path"}, "archive/"),
    Case(_white_space, {"record-not-canonical"}, "records/"),
    Case(_unknown_kind, {"record-later", "index-unfounded"}, "records/"),
    Case(_no_json, {"record-unreadable"}, "records/"),
    Case(_executable, {"mode"}, "records/"),
    Case(_becomes_executable, {"mode"}, "records/"),
    Case(_symlink, {"mode", "changed"}, "records/"),
    Case(_submodule, {"mode", "index-unfounded"}, "index/api/code"),
    Case(_changed_format, {"changed"}, "format"),
    Case(_other_format, {"format"}, "format"),
    Case(_no_format, {"format"}, "format"),
    Case(_empty_commit, {"no-records"}),
    Case(_moved_tag, {"tag-moved"}, "refs/tags/v1.0.0"),
    Case(_deleted_tag, {"tag-missing"}, "refs/tags/v1.1.0"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.tamper.__name__.strip("_"))
def test_a_tampering_is_named_with_commit_and_path(told: Repository, case: Case) -> None:
    """By the kinds that belong to it and by no other; each one in a commit of the ledger."""
    forgery = Forgery.of(told)
    case.tamper(forgery)
    forgery.write()
    report = verified(told)
    commits = told.git("rev-list", BRANCH).split()
    assert {violation.kind for violation in report.violations} == case.kinds, report.violations
    assert any(violation.path.startswith(case.path) for violation in report.violations)
    assert all(violation.commit in commits for violation in report.violations)
    assert all(violation.found and violation.expected for violation in report.violations)


def test_the_same_history_made_again_is_clean(told: Repository) -> None:
    """The forger's own hand leaves no trace: what the cases above find is what they did."""
    forgery = Forgery.of(told)
    forgery.write()
    report = verified(told)
    assert report.violations == ()
    assert (report.commits, report.records, report.releases) == (8, 8, 3)


# what is remembered


def test_a_local_ledger_that_was_rewound_after_a_verification_is_named(told: Repository) -> None:
    """A clean head is remembered; the branch must contain it from then on."""
    head = told.git("rev-parse", BRANCH)
    assert verified(told).violations == ()
    told.git("update-ref", BRANCH, f"{head}~2")
    (violation,) = verified(told).violations
    assert (violation.kind, violation.commit) == ("rewound", head)


def test_a_local_ledger_that_is_gone_after_a_verification_is_named(told: Repository) -> None:
    """An empty ledger is clean only where none was before."""
    assert verified(told).violations == ()
    told.git("update-ref", "-d", BRANCH)
    assert [violation.kind for violation in verified(told).violations] == ["rewound"]


def test_a_history_made_anew_is_named_though_it_agrees_with_itself(told: Repository) -> None:
    """Squashed into one commit with a time to match, it can be told only from what was seen before."""
    assert verified(told).violations == ()
    forgery = Forgery.of(told)
    _squashed(forgery)
    forgery.commits[0].seconds = Forgery.of(told).commits[-1].seconds
    forgery.write(remembered=True)
    assert [violation.kind for violation in verified(told).violations] == ["rewound"]


def test_what_is_remembered_is_not_moved_by_a_ledger_that_is_wrong(told: Repository) -> None:
    """The violation stays until somebody decides."""
    assert verified(told).violations == ()
    told.git("update-ref", BRANCH, f"{BRANCH}~1")
    assert verified(told).violations == verified(told).violations != ()


# with a server


def test_a_rewound_server_is_named_and_the_seen_history_is_proved(
    ada: Repository, server: Repository
) -> None:
    """The clone has all records: they are read up to the commit that was seen."""
    story(ada, remote="origin")
    seen = server.git("rev-parse", BRANCH)
    server.git("update-ref", BRANCH, f"{seen}~3")
    report = verified(ada, remote="origin")
    assert [violation.kind for violation in report.violations] == ["rewound"]
    assert (report.violations[0].commit, report.head, report.records) == (seen, seen, 8)


def test_a_clean_ledger_on_a_server_is_clean_in_every_clone(
    ada: Repository, bob: Repository, server: Repository, tmp_path: Path
) -> None:
    """Also in one that has no tags, and in a shallow one of another branch."""
    story(ada, remote="origin")
    ada.git("push", "-q", "origin", "main")
    ci = Repository.clone(
        f"file://{server.root}", tmp_path / "ci", "--depth=1", "--single-branch", "--no-tags"
    )
    for clone in (ada, bob, ci):
        report = verified(clone, remote="origin")
        assert (report.violations, report.unchecked, report.records) == ((), (), 8)


@pytest.mark.parametrize(
    ("words", "kind"),
    [(("-d", "v1.0.0"), "tag-missing"), (("-f", "v1.0.0", "v1.1.0^{}"), "tag-moved")],
    ids=["deleted", "moved"],
)
def test_a_tag_of_the_server_is_compared(
    ada: Repository, server: Repository, words: tuple[str, ...], kind: str
) -> None:
    """What the server has counts, and what this clone has besides."""
    story(ada, remote="origin")
    server.git("tag", *words)
    (violation,) = verified(ada, remote="origin").violations
    assert (violation.kind, violation.path) == (kind, "refs/tags/v1.0.0")
    assert "origin" in violation.found


def test_a_tag_that_was_moved_in_this_clone_alone_is_named(ada: Repository, server: Repository) -> None:
    """It would lead `git checkout v1.0.0` astray."""
    story(ada, remote="origin")
    ada.git("tag", "-f", "v1.0.0", "v1.1.0^{}")
    (violation,) = verified(ada, remote="origin").violations
    assert violation.kind == "tag-moved"
    assert "this clone" in violation.found


def test_a_server_that_does_not_answer_is_not_checked(ada: Repository, server: Repository) -> None:
    """Said plainly; what is here is proved."""
    story(ada, remote="origin")
    server.root.rename(server.root.with_name("away"))
    report = verified(ada, remote="origin")
    assert (report.violations, report.records) == ((), 8)
    assert any("origin" in line for line in report.unchecked)
    assert any("tags" in line for line in report.unchecked)


# what cannot be proved is refused


def test_a_branch_that_is_no_ledger_is_refused(here: Repository) -> None:
    """Not listed file by file."""
    here.git("branch", "release-ledger", "main")
    with pytest.raises(NotALedger, match="not a ledger"):
        verified(here)


def test_a_shallow_history_is_refused(told: Repository, tmp_path: Path) -> None:
    """It has no first commit: nothing could be proved."""
    shallow = tmp_path / "shallow"
    Repository.clone(f"file://{told.root}", shallow, "--depth=2", "--branch=release-ledger")
    with pytest.raises(LedgerError, match="has a parent"):
        verified(Repository(shallow))


def test_a_format_of_another_major_is_refused(told: Repository) -> None:
    """A newer library has to look."""
    forgery = Forgery.of(told)
    forgery.commits[0].put("format", "release-ledger 2.0\n")
    forgery.write()
    with pytest.raises(LedgerError, match=r"2\.0"):
        verified(told)


@pytest.mark.parametrize("what", ["record", "commit"])
def test_a_damaged_object_is_named(told: Repository, what: str) -> None:
    """The rest is still told."""
    path = Forgery.of(told).commits[0].record
    name = f"{BRANCH}:{path}" if what == "record" else f"{BRANCH}~7"
    oid = told.git("rev-parse", name)
    file = told.root / ".git" / "objects" / oid[:2] / oid[2:]
    file.unlink()
    kinds = [violation.kind for violation in verified(told).violations]
    assert "damaged" in kinds


def test_an_empty_ledger_is_clean(here: Repository) -> None:
    """Nothing is recorded yet, and nothing is written."""
    report = verified(here)
    assert (report.head, report.violations, report.unchecked) == (None, (), ())
    assert set(here.refs()) == {"refs/heads/main"}


def test_grafts_and_replaced_objects_do_not_hide_anything(told: Repository) -> None:
    """What git would show instead of the objects is not looked at."""
    clean = told.git("rev-parse", BRANCH)
    forgery = Forgery.of(told)
    _edited_record(forgery)
    forgery.write()
    told.git("replace", "-f", told.git("rev-parse", BRANCH), clean)
    assert {violation.kind for violation in verified(told).violations} == {"changed"}


# clean ledgers


def test_an_index_entry_that_is_made_again_later_is_clean(told: Repository) -> None:
    """A commit that completes the index needs no record."""
    forgery = Forgery.of(told)
    made = forgery.commits[5]
    path = made.index("digest")
    content = made.content(path)
    del made.files[path]
    forgery.commits.append(Made(files={path: ("100644", content)}, seconds=forgery.commits[-1].seconds + 99))
    forgery.write()
    assert verified(told).violations == ()


def test_events_of_two_machines_that_were_offline_are_clean(
    ada: Repository, bob: Repository, server: Repository
) -> None:
    """They come late, several in one commit, and with times before those that are there."""
    (api,) = samples.ledger(ada.root, remote="origin").append([release("1.0.0", tag="v0")])
    ledgers = [samples.ledger(clone.root, remote="origin") for clone in (ada, bob)]
    assert all(ledger.refresh() for ledger in ledgers)
    for number, ledger in enumerate(ledgers):
        for step in range(3):
            at = moment(50 - 20 * number + step)
            ledger.append_events([event(api, deployment=f"{number} {step}", at=at)], publish=False)
    assert [ledger.sync() for ledger in ledgers] == [3, 3]
    report = verified(bob, remote="origin")
    assert {violation.kind for violation in report.violations} == {"tag-missing"}
    assert report.records == 7


def test_a_release_recorded_with_a_second_one_of_its_commit_is_clean(here: Repository) -> None:
    """As a candidate and the version that follows it."""
    commit = here.git("rev-parse", "main")
    ledger = samples.ledger(here.root)
    for version in ("2.0.0-rc.1", "2.0.0"):
        draft = release(version, commit=commit)
        ledger.append([draft], tag=tagged(draft, commit))
    assert verified(here).violations == ()


releasing = st.tuples(
    st.just("release"), st.integers(0, 5), st.integers(0, 5), st.sampled_from(("api", "web"))
)
deploying = st.tuples(
    st.just("deploy"), st.sampled_from(("started", "healthy", "failed")), st.integers(0, 90), st.booleans()
)
writing = st.tuples(st.just("note"), st.integers(1, 3), st.integers(0, 90), st.sampled_from(("api", "web")))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(releasing, deploying, writing), max_size=10))
def test_whatever_writers_append_verifies_clean(steps: list[tuple[object, ...]]) -> None:
    """Several services, several records in a commit, clocks that jump, refusals on the way."""
    with tempfile.TemporaryDirectory() as folder:
        here = Repository.init(Path(folder))
        commit = here.commit("feat: start", file="1")
        ledger = samples.ledger(here.root)
        known: list[Record[Body]] = []
        for number, step in enumerate(steps):
            match step:
                case ("release", int(version), int(content), str(service)):
                    tag = f"{service}/v1.0.{version}"
                    draft = release(
                        f"1.0.{version}",
                        content=f"{service} {content}",
                        commit=commit,
                        service=service,
                        tag=tag,
                    )
                    try:
                        known += ledger.append([draft], tag=tagged(draft, commit))
                    except VersionTaken:
                        continue
                case ("deploy", str(status), int(minute), bool(staging)) if known:
                    of = known[-1]
                    ledger.append_events(
                        [
                            event(
                                of,
                                status,
                                deployment=str(number),
                                environment="staging" if staging else "production",
                                service=of.envelope.service,
                                at=moment(minute),
                            )
                        ]
                    )
                case ("note", int(count), int(minute), str(service)):
                    texts = [f"{number} {each}" for each in range(count)]
                    ledger.append([note(text, service=service, at=moment(minute)) for text in texts])
        assert verified(here).violations == ()


# the report


class Silent:
    """A witness who has something against everything."""

    def ask(self, commit: str, record: Record[Release]) -> list[Violation]:
        return [_against(commit, record.body.version)]

    def rest(self) -> list[Violation]:
        return [_against(None, "rest")]

    def unchecked(self) -> list[str]:
        return ["the moon"]


def _against(commit: str | None, path: str) -> Violation:
    return Violation(kind="image-tag-moved", commit=commit, path=path, found="a", expected="b")


def test_a_witness_is_asked_about_every_release(told: Repository) -> None:
    """With the commit that recorded it; what it says goes into the report."""
    source = Source.open(told.root)
    report = verify(source, Settings(), witness=Silent())
    source.close()
    assert [violation.path for violation in report.violations] == ["1.0.0", "1.0.0", "1.1.0", "rest"]
    assert report.unchecked == ("the moon",)


def test_a_violation_is_one_line_and_data() -> None:
    """Whatever is in a path or a file."""
    violation = Violation(kind="foreign-path", commit="a" * 40, path="x\ny", found="f", expected="e")
    assert str(violation) == f"foreign-path  {'a' * 12} x y: f; expected e"
    assert violation.to_json()["path"] == "x\ny"


def test_a_kind_without_a_meaning_is_refused() -> None:
    """Names are stable because they are in one table."""
    with pytest.raises(ValueError, match="odd"):
        Violation(kind="odd", commit=None, path="", found="", expected="")


def test_every_kind_is_in_the_how_to() -> None:
    """With what it means and what to do."""
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "verify.md").read_text(encoding="utf-8")
    assert all(f"`{kind}`" in page for kind in KINDS)
