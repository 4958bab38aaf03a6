"""The index, made again from the records."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from release.ledger.rebuild import complete, survey
from release.ledger.store import Ledger
from tests.unit.ledger import samples
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
    """The ledger after somebody's own commit, which holds these paths and objects."""
    files = paths(repository)
    change(files)
    listing = "".join(f"100644 {oid}\t{path}\n" for path, oid in files.items())
    repository.git("read-tree", "--empty")
    repository.git("update-index", "--index-info", stdin=listing.encode())
    tree = repository.git("write-tree")
    repository.git("read-tree", "HEAD")
    commit = repository.git("commit-tree", "-m", "by hand", "-p", BRANCH, tree)
    repository.git("update-ref", BRANCH, commit)
    return samples.ledger(repository.root)


def without(text: str) -> Callable[[dict[str, str]], None]:
    """A change that takes away every path with this text."""

    def change(files: dict[str, str]) -> None:
        for path in [path for path in files if text in path]:
            del files[path]

    return change


def rebuilt(ledger: Ledger) -> int:
    return complete(ledger, actor=samples.ADA, at=samples.NOON)


def test_nothing_is_missing_from_a_sound_ledger(here: Repository) -> None:
    """Every record's entries are there, and nothing else."""
    ledger = written(here)
    found = survey(ledger)
    assert (found.records, found.missing, found.wrong) == (6, {}, ())
    head = ledger.head
    assert rebuilt(ledger) == 0
    assert ledger.head == head


def test_an_empty_ledger_has_nothing_to_rebuild(here: Repository) -> None:
    """No branch, no records."""
    found = survey(samples.ledger(here.root))
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
    assert survey(ledger).missing.keys() == lost
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


def test_an_entry_that_names_another_record_is_named_and_left_alone(here: Repository) -> None:
    """What is wrong was written by somebody: it is looked into, not overwritten."""
    written(here)
    one, other = "index/api/version/1/1.0.0", "index/api/version/1/1.0.1"
    ledger = rewritten(here, lambda files: files.update({one: files[other]}))
    (wrong,) = survey(ledger).wrong
    assert wrong.startswith(f"{one}: it names ")
    assert rebuilt(ledger) == 0
    assert ledger.read(one) == ledger.read(other)


def test_an_entry_without_a_record_is_named(here: Repository) -> None:
    """Nothing says why it is there."""
    written(here)
    ledger = rewritten(here, lambda files: files.update({"index/api/version/9/9.9.9": files["format"]}))
    assert survey(ledger).wrong == ("index/api/version/9/9.9.9: no record has this index entry",)


def test_a_damaged_record_is_named_once_and_the_others_are_rebuilt(here: Repository) -> None:
    """Its own entries are neither called foreign nor made up."""
    written(here)
    (path, *_) = [path for path in paths(here) if path.startswith("records/")]
    blob = here.git("hash-object", "-w", "--stdin", stdin=b"{}\n")
    ledger = rewritten(here, lambda files: files.update({path: blob}))
    (wrong,) = survey(ledger).wrong
    assert wrong.startswith(f"{path}: it was edited")
    assert survey(ledger).missing == {}


def test_a_record_that_would_break_out_of_the_index_gets_no_entry(here: Repository) -> None:
    """Whoever forged it does not choose paths by it."""
    ledger = written(here)
    forged = release("1.0.0/../../../../records/x", content="forged").at(9, None)
    blob = here.git("hash-object", "-w", "--stdin", stdin=forged.to_bytes())
    path = f"records/{forged.id[:2]}/{forged.id}.json"
    ledger = rewritten(here, lambda files: files.update({path: blob}))
    found = survey(ledger)
    assert found.missing == {}
    assert [wrong.partition(":")[0] for wrong in found.wrong] == [path]


def test_a_rebuild_reaches_the_server(ada: Repository, server: Repository) -> None:
    """By a plain push, as every append."""
    ledger = samples.ledger(ada.root, remote="origin")
    ledger.append([release("1.0.0")])
    lost = "index/api/version/1/1.0.0"
    rewritten(ada, without(lost))
    ada.git("push", "-q", "origin", BRANCH)
    ledger = samples.ledger(ada.root, remote="origin")
    assert ledger.refresh()
    assert rebuilt(ledger) == 1
    assert lost in paths(server)
