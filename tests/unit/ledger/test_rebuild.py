"""The index, made again from the records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from release.errors import LedgerUnproven
from release.ledger.rebuild import add_missing_entries, survey_index
from release.ledger.store import Ledger
from tests.unit.ledger import samples
from tests.unit.ledger.forge import forget
from tests.unit.ledger.samples import event, note, release
from tests.unit.repository import Repository

BRANCH = "refs/heads/release-ledger"


def written(repository: Repository) -> Ledger:
    """A ledger with every kind of index entry: two releases of one commit among them, and two services."""
    ledger = samples.ledger(repository.root)
    commit = samples.digits("one commit", 40)
    (first,) = ledger.append([release("1.0.0", commit=commit)])
    ledger.append([release("1.0.1", commit=commit), note("a word")])
    ledger.append([event(first, "started"), event(first, "healthy"), release("1.0.0", service="web")])
    return ledger


def paths(repository: Repository) -> dict[str, str]:
    lines = repository.git("ls-tree", "-r", BRANCH).splitlines()
    return {line.partition("\t")[2]: line.split()[2] for line in lines}


def rewritten(repository: Repository, change: Callable[[dict[str, str]], None]) -> Ledger:
    """The ledger made anew of these paths and objects, as a writer that made fewer entries would have."""
    files = paths(repository)
    change(files)
    listing = "".join(f"100644 {oid}\t{path}\n" for path, oid in files.items())
    repository.git("read-tree", "--empty")
    repository.git("update-index", "--index-info", stdin=listing.encode())
    tree = repository.git("write-tree")
    repository.git("read-tree", "HEAD")
    commit = repository.git("commit-tree", "-m", "by hand", tree, env={"GIT_COMMITTER_DATE": samples.NOON})
    repository.git("update-ref", BRANCH, commit)
    forget(repository)
    return samples.ledger(repository.root)


def without(text: str) -> Callable[[dict[str, str]], None]:
    """A change that takes away every path with this text."""

    def change(files: dict[str, str]) -> None:
        for path in [path for path in files if text in path]:
            del files[path]

    return change


def rebuilt(ledger: Ledger) -> int:
    return add_missing_entries(ledger, actor=samples.ADA, at=samples.NOON)


def test_nothing_is_missing_from_a_sound_ledger(here: Repository) -> None:
    """Every record's entries are there, and nothing else."""
    ledger = written(here)
    found = survey_index(ledger)
    assert (found.records, found.missing, found.wrong) == (6, {}, ())
    head = ledger.head
    assert rebuilt(ledger) == 0
    assert ledger.head == head


def test_an_empty_ledger_has_nothing_to_rebuild(here: Repository) -> None:
    """No branch, no records."""
    found = survey_index(samples.ledger(here.root))
    assert (found.records, found.entries, found.missing, found.wrong) == (0, 0, {}, ())


@pytest.mark.parametrize(
    "folder",
    [
        "index/",
        "index/web/",
        "index/api/version/",
        "index/api/digest/",
        "index/api/commit/",
        "index/api/seq/",
        "index/api/environment/",
        "index/api/deployment/",
        "index/api/healthy/",
    ],
)
def test_entries_that_were_lost_come_back_as_they_were(here: Repository, folder: str) -> None:
    """Path by path and byte by byte, whichever index it is."""
    written(here)
    before = paths(here)
    lost = {path for path in before if path.startswith(folder)}
    ledger = rewritten(here, without(folder))
    assert survey_index(ledger).missing.keys() == lost
    assert rebuilt(ledger) == len(lost) > 0
    assert paths(here) == before


def test_a_rebuild_is_one_commit_that_only_adds(here: Repository) -> None:
    """It says what it is, and who did it."""
    written(here)
    ledger = rewritten(here, without("/seq/"))
    before = ledger.head
    rebuilt(ledger)
    assert here.git("rev-list", f"{before}..{BRANCH}").count("\n") == 0
    changes = here.git("diff", "--name-status", f"{before}", BRANCH).splitlines()
    assert {line[0] for line in changes} == {"A"}
    log = here.git("log", "-1", "--format=%s|%an", BRANCH)
    assert log == "6 index entries rebuilt from the records|Ada Lovelace"


def test_the_next_record_finds_its_place_after_a_rebuild(here: Repository) -> None:
    """The chain goes on where it was."""
    written(here)
    ledger = rewritten(here, without("/seq/"))
    rebuilt(ledger)
    (record,) = ledger.append([note("next")])
    assert record.envelope.seq == 6


def _wrong_entry(here: Repository, files: dict[str, str]) -> None:
    files["index/api/version/1/1.0.0"] = files["index/api/version/1/1.0.1"]


def _entry_without_record(here: Repository, files: dict[str, str]) -> None:
    files["index/api/version/9/9.9.9"] = files["format"]


def _damaged_record(here: Repository, files: dict[str, str]) -> None:
    path = next(path for path in files if path.startswith("records/"))
    files[path] = here.git("hash-object", "-w", "--stdin", stdin=b"{}\n")


def _record_with_a_path_for_a_version(here: Repository, files: dict[str, str]) -> None:
    honest = release("9.9.9", content="forged").at(9, None).to_bytes()
    forged = honest.replace(b'"9.9.9"', b'"1.0.0/../../../../records/x"')
    name = hashlib.sha256(forged).hexdigest()
    files[f"records/{name[:2]}/{name}.json"] = here.git("hash-object", "-w", "--stdin", stdin=forged)


@pytest.mark.parametrize(
    "change", [_wrong_entry, _entry_without_record, _damaged_record, _record_with_a_path_for_a_version]
)
def test_a_ledger_that_breaks_a_rule_is_not_rebuilt(
    here: Repository, change: Callable[[Repository, dict[str, str]], None]
) -> None:
    """The commit is named; nothing is appended after it."""
    written(here)
    ledger = rewritten(here, lambda files: change(here, files))
    head = here.git("rev-parse", BRANCH)
    with pytest.raises(LedgerUnproven, match=head):
        rebuilt(ledger)
    assert here.git("rev-parse", BRANCH) == head


def test_a_rebuild_reaches_the_server(ada: Repository, bob: Repository, server: Repository) -> None:
    """By a plain push, as every append."""
    ledger = samples.ledger(ada.root, remote="origin")
    ledger.append([release("1.0.0")])
    lost = "index/api/version/1/1.0.0"
    rewritten(ada, without(lost))
    ada.git("push", "-q", "--force", "origin", BRANCH)
    ledger = samples.ledger(bob.root, remote="origin")
    assert ledger.refresh()
    assert rebuilt(ledger) == 1
    assert lost in paths(server)
