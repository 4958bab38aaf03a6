"""The files of a commit, on real repositories."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.errors import SourceError
from release.git.commit_files import Committed, read_linked, resolve_link
from release.git.source import Source
from tests.unit.repository import ENVIRONMENT, Repository


@pytest.fixture(autouse=True)
def _no_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    return Repository.init(tmp_path / "work")


@pytest.fixture
def source(here: Repository) -> Iterator[Source]:
    opened = Source.open(here.root)
    yield opened
    opened.close()


def test_entries_are_the_committed_files(here: Repository, source: Source) -> None:
    """Sorted by path, with modes, whatever the working tree holds now."""
    here.write("api/run.sh", "#!/bin/sh\n", mode=0o755)
    here.write("api/z/data.bin", b"\0\r\n\xff")
    here.write("api/a b\nc", "odd name")
    (here.root / "api" / "link").symlink_to("z/data.bin")
    here.write("web/other", "no")
    head = here.commit()
    here.write("api/run.sh", "edited")
    here.write("api/new", "untracked")
    found = [(e.path, e.executable, e.symlink, e.content) for e in Committed(source, head, "api").entries()]
    assert found == [
        ("a b\nc", False, False, b"odd name"),
        ("link", False, True, b"z/data.bin"),
        ("run.sh", True, False, b"#!/bin/sh\n"),
        ("z/data.bin", False, False, b"\0\r\n\xff"),
    ]
    assert [entry.path for entry in Committed(source, head, ".").entries()][-1] == "web/other"


def test_a_submodule_is_listed_apart(here: Repository, source: Source, tmp_path: Path) -> None:
    """Its files are in no commit of this repository, so there is nothing to read."""
    inner = Repository.init(tmp_path / "inner")
    oid = inner.commit(file="1")
    here.write("api/a", "1")
    here.git("update-index", "--add", "--cacheinfo", f"160000,{oid},vendor/inner")
    here.git("add", "api")
    here.git("commit", "-q", "-m", "feat: with a submodule")
    committed = Committed(source, source.head().id, ".")
    assert (committed.files, committed.submodules) == (["api/a"], ["vendor/inner"])
    assert [entry.path for entry in committed.entries()] == ["api/a"]


def test_a_folder_that_the_commit_has_not_is_refused(here: Repository, source: Source) -> None:
    """A misspelt context is not an empty one."""
    head = here.commit(file="1")
    with pytest.raises(SourceError, match="list the files of commit"):
        Committed(source, head, "nowhere")


def test_threads_read_at_the_same_time(here: Repository, source: Source) -> None:
    """The stages of the chain read the commit together; nobody gets another's bytes."""
    head = here.commit(**{f"file{number}": str(number) * 1000 for number in range(50)})
    results: list[dict[str, bytes]] = []

    def read() -> None:
        results.append({entry.path: entry.content for entry in Committed(source, head, ".").entries()})

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(
        files[f"file{number}"] == str(number).encode() * 1000 for files in results for number in range(50)
    )


def test_many_files_are_read(here: Repository, source: Source) -> None:
    """Two thousand files, each with its own content."""
    head = here.commit(**{f"d{n % 20}/file{n}": f"content {n}" for n in range(2000)})
    found = {entry.path: entry.content for entry in Committed(source, head, ".").entries()}
    assert len(found) == 2000
    assert found["d19/file1999"] == b"content 1999"


def link(here: Repository, name: str, target: str) -> None:
    path = here.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("Dockerfile", "docker/real"),
        ("api/Dockerfile", "../docker/real"),
        ("Dockerfile", "./api/../docker//real"),
    ],
)
def test_a_link_is_followed_inside_the_commit(
    here: Repository, source: Source, name: str, target: str
) -> None:
    """The working copy has no part in it."""
    here.write("docker/real", "FROM scratch\n")
    here.write("api/app", "1")
    link(here, name, target)
    head = here.commit()
    here.write("docker/real", "edited")
    assert resolve_link(source, head, name) == "docker/real"
    assert read_linked(source, head, name) == b"FROM scratch\n"


def test_links_to_links_and_to_folders_are_followed(here: Repository, source: Source) -> None:
    """A folder on the way may be a link too."""
    here.write("real/deep/file", "1")
    link(here, "folder", "real/deep")
    link(here, "one", "two")
    link(here, "two", "folder/file")
    assert resolve_link(source, here.commit(), "one") == "real/deep/file"


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "a/../../outside", "loop"])
def test_a_link_out_of_the_commit_is_refused(here: Repository, source: Source, target: str) -> None:
    """A file of this machine is never read; nor is a circle followed for ever."""
    here.write("a/file", "1")
    (here.root.parent / "outside").write_text("secret")
    link(here, "loop", target)
    head = here.commit()
    with pytest.raises(SourceError, match=r"out of the repository|links form a circle"):
        resolve_link(source, head, "loop")


@pytest.mark.parametrize("target", ["missing", "a", "a/file/deeper", "."])
def test_a_link_to_no_file_is_none(here: Repository, source: Source, target: str) -> None:
    """What it names is not in the commit, or is a folder."""
    here.write("a/file", "1")
    link(here, "link", target)
    assert resolve_link(source, here.commit(), "link") is None


def test_links_that_lead_out_of_the_folder_are_astray(here: Repository, source: Source) -> None:
    """Also by another link, or by a folder that is one; what only leads to nothing is not."""
    here.write("api/real/file", "1")
    here.write("shared/file", "1")
    targets = {
        "absolute": "/etc/passwd",
        "up": "../shared/file",
        "folder": "..",
        "second": "absolute",
        "through": "folder/../file",
        "back": "real/../../api/real/file",
        "circle": "circle",
        "inside": "real/../real/file",
        "nowhere": "missing",
        "deep/inside": "../real",
    }
    for name, target in targets.items():
        link(here, f"api/{name}", target)
    committed = Committed(source, here.commit(), "api")
    assert [*committed.astray] == ["absolute", "back", "circle", "folder", "second", "through", "up"]
    assert committed.astray["up"] == "a link in its path leads out of the folder api"
    kept = [entry.path for entry in committed.safe()]
    assert kept == ["deep/inside", "inside", "nowhere", "real/file"]
    assert [entry.path for entry in committed.safe(["up", "inside"])] == ["inside"]


@pytest.mark.parametrize("target", [b"", b"a\0b"])
def test_a_target_that_no_file_system_takes_is_astray(
    here: Repository, source: Source, target: bytes
) -> None:
    """Such a link can be committed, and not be written."""
    oid = here.git("hash-object", "-w", "--stdin", stdin=target)
    here.git("update-index", "--add", "--cacheinfo", f"120000,{oid},link")
    here.git("commit", "-q", "-m", "feat: a link")
    assert [*Committed(source, source.head().id, ".").astray] == ["link"]


def tree(here: Repository, *lines: str) -> str:
    """A tree object of these lines, as no git command makes one."""
    names = {"blob": here.git("hash-object", "-w", "file"), "link": here.git("hash-object", "-w", "link")}
    names["tree"] = here.git("mktree", stdin=f"100644 blob {names['blob']}\tauthorized_keys\n".encode())
    raw = b"".join(
        f"{mode} {name}".encode() + b"\0" + bytes.fromhex(names[kind])
        for mode, kind, name in (line.split(" ", 2) for line in lines)
    )
    made = subprocess.run(
        ("git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"),
        cwd=here.root,
        input=raw,
        capture_output=True,
        check=True,
    )
    return here.git("commit-tree", "-m", "feat: trap", made.stdout.decode().strip())


@pytest.mark.parametrize(
    "lines",
    [
        ("120000 link a", "40000 tree a"),
        ("40000 tree ..",),
        ("100644 blob .git",),
        ("100644 blob a", "100644 blob a"),
    ],
)
@pytest.mark.attack(
    "a commit has a tree that git would not check out: one name twice, as a link and as a folder, or `..`",
    "listing the files of such a commit is refused, so nothing is written outside of the folder",
)
def test_a_tree_that_git_would_not_check_out_is_refused(
    here: Repository, source: Source, lines: tuple[str, ...]
) -> None:
    """Whoever makes objects by hand could otherwise have a file written through a link."""
    here.write("file", "key")
    here.write("link", "/home/ada/.ssh")
    with pytest.raises(SourceError, match="refuses to check out"):
        Committed(source, tree(here, *lines), ".")
