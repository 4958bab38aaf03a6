"""Where things lie in the ledger's tree, and the small pure parts around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.ledger import layout
from release.ledger.ref_updates import Refusal, parse_push, update_ref_input
from release.ledger.tree import build_tree, object_id, parse_tree
from tests.unit.ledger import samples
from tests.unit.repository import Repository


def test_a_release_has_four_index_entries() -> None:
    """Place, version, digest and commit."""
    record = samples.release("1.4.2-rc.1").at(1234567, None)
    commit, digest = samples.digits("commit 1.4.2-rc.1", 40), samples.digits("1.4.2-rc.1")
    assert list(layout.index_paths(record, lambda path: False)) == [
        "index/api/seq/001/234/001234567-release",
        "index/api/version/1/1.4.2-rc.1",
        f"index/api/digest/{digest[:2]}/{digest}",
        f"index/api/commit/{commit[:2]}/{commit}",
    ]


def test_a_second_release_of_a_commit_gets_an_entry_of_its_own() -> None:
    """Paths are written once."""
    record = samples.release("1.0.0", commit="c" * 40).at(7, None)
    *_, last = layout.index_paths(record, lambda path: True)
    assert last == f"index/api/commit/cc/{'c' * 40}-000000007"


def test_a_deployment_is_indexed_by_time_by_its_id_and_when_healthy_by_its_release() -> None:
    """One entry for each event."""
    draft = samples.event("e" * 64, deployment="d", at="2026-11-21T01:40:03.007Z")
    record = draft.at(12, None)
    deployment = samples.digits("d", 12)
    assert list(layout.index_paths(record, lambda path: False)) == [
        "index/api/seq/000/000/000000012-deployment",
        f"index/api/environment/production/2026/11/21/014003007-{record.id}",
        f"index/api/deployment/{deployment[:2]}/{deployment}-000000012",
        f"index/api/healthy/production/ee/{'e' * 64}-000000012",
    ]
    failed = samples.event("e" * 64, "failed").at(12, None)
    assert len(list(layout.index_paths(failed, lambda path: False))) == 3


def test_the_time_of_an_event_can_be_read_off_its_path() -> None:
    """Year, month, day and name give the moment back."""
    path = layout.event_entry_path("api", "production", "2026-11-21T01:40:03.007Z", "f" * 64)
    assert layout.event_time(*path.split("/")[-4:]) == "2026-11-21T01:40:03.007Z"


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"release-ledger 1.0\n", "1.0"),
        (b"release-ledger 2.7\n", "2.7"),
        (b"release-ledger\n", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"repositoryformatversion 0\n", None),
    ],
)
def test_a_ledger_is_told_by_its_format_file(content: bytes, version: str | None) -> None:
    """A word and a version, and nothing else."""
    assert layout.format_version(content) == version


def test_refused_references_are_read_from_a_push() -> None:
    """Flag, reference, summary (git-push, "OUTPUT"); what went well is left out."""
    output = (
        "To ../server.git\n"
        "!\tabc:refs/heads/release-ledger\t[rejected] (fetch first)\n"
        "=\tdef:refs/tags/v1\t[up to date]\n"
        "!\tdef:refs/tags/v2\t[remote rejected] (pre-receive hook declined)\n"
        "Done\n"
    )
    assert parse_push(output) == (
        Refusal(ref="refs/heads/release-ledger", summary="[rejected] (fetch first)"),
        Refusal(ref="refs/tags/v2", summary="[remote rejected] (pre-receive hook declined)"),
    )


def test_a_transaction_names_the_old_objects() -> None:
    """A reference that must not exist has an old object of zeros (git-update-ref)."""
    made = update_ref_input({"refs/heads/x": ("a" * 40, "b" * 40), "refs/tags/y": ("c" * 40, None)})
    assert made.decode().splitlines() == [
        "start",
        f"update refs/heads/x {'a' * 40} {'b' * 40}",
        f"update refs/tags/y {'c' * 40} {'0' * 40}",
        "prepare",
        "commit",
    ]


names = st.binary(min_size=1, max_size=8).filter(lambda name: not {0, 47} & set(name))
entries = st.tuples(st.sampled_from((b"40000", b"100644")), st.binary(min_size=20, max_size=20))


@given(st.dictionaries(names, entries, max_size=5))
def test_a_tree_object_is_read_as_it_was_written(listing: dict[bytes, tuple[bytes, bytes]]) -> None:
    """Whatever bytes are in the names and the ids."""
    assert parse_tree(build_tree(listing), 20) == listing


@pytest.mark.parametrize("content", [b"tree", b"100644 a\0short", b"100644 a\0" + b"1" * 20 + b"junk"])
def test_what_is_no_tree_is_not_half_read(content: bytes) -> None:
    """A folder is whole or an error."""
    with pytest.raises(ValueError, match="not a list of files"):
        parse_tree(content, 20)


def test_folders_sort_as_git_sorts_them(here: Repository) -> None:
    """A folder's name counts with a slash at its end; git accepts the object under the id we give it."""
    empty = here.git("hash-object", "-w", "--stdin")
    tree = here.git("mktree")
    listing = {
        b"a": (b"40000", bytes.fromhex(tree)),
        b"a.b": (b"100644", bytes.fromhex(empty)),
        b"a-b": (b"100644", bytes.fromhex(empty)),
        b"a0": (b"100644", bytes.fromhex(empty)),
    }
    content = build_tree(listing)
    assert list(parse_tree(content, 20)) == [b"a-b", b"a.b", b"a", b"a0"]
    stored = here.git("hash-object", "-w", "-t", "tree", "--stdin", stdin=content)
    assert stored == object_id("tree", content, 40)
    assert here.git("fsck", "--strict", "--no-dangling", stored) == ""
