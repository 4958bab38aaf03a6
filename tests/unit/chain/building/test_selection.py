"""The build context: what is sent, what is refused, and that a half-written one is never used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from release.chain.building import selection as module
from release.chain.building.selection import prepare_build_context, select_context_files
from release.chain.plan import Options, make_plan
from release.chain.run_folder import RunFolder
from release.chain.stage_context import StageContext
from release.errors import GateFailed, SourceError
from release.git.source import Source
from release.images.dockerignore import BadPattern
from release.records import Actor, Run
from tests.unit.chain.test_plan import configured, facts
from tests.unit.repository import ENVIRONMENT, Repository

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.fixture(autouse=True)
def _no_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    made = Repository.init(tmp_path / "work")
    made.write("Dockerfile", "FROM scratch\nCOPY . /\n")
    made.write("app/main.py", "print()")
    return made


@pytest.fixture
def ctx(here: Repository) -> Iterator[Callable[..., StageContext]]:
    """Makes the place where a chain runs on what is committed now."""
    source = Source.open(here.root)

    def make(**table: Any) -> StageContext:
        commit = here.commit()
        found = source.commit(commit)
        assert found is not None
        plan = make_plan(configured(**table).service("api"), facts(commit=found), Options(), several=False)
        return StageContext(
            plan=plan,
            source=source,
            run_folder=RunFolder.create(here.root),
            actor=Actor(name="a", email="a@b"),
            run=Run(id="run"),
            emit=lambda _: None,
            open_engine=lambda: pytest.fail("no engine is asked"),
            open_ledger=lambda: pytest.fail("no ledger is asked"),
        )

    yield make
    source.close()


def submodule(here: Repository, path: str) -> None:
    """One as a clone has it whose submodules are not checked out."""
    (here.root / path).mkdir(parents=True)
    here.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},{path}")


def sent(ctx: StageContext) -> set[str]:
    """The files in the written context."""
    folder = prepare_build_context(ctx).folder
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_the_dockerfile_is_beside_the_context(here: Repository, ctx: Callable[..., StageContext]) -> None:
    """So `.dockerignore` can leave it out, as everywhere."""
    here.write(".dockerignore", "Dockerfile\n.dockerignore\n")
    place = ctx()
    assert sent(place) == {"app/main.py"}
    dockerfile = prepare_build_context(place).dockerfile
    assert dockerfile.read_bytes() == b"FROM scratch\nCOPY . /\n"
    assert dockerfile.with_name("Dockerfile.dockerignore").read_bytes() == b"Dockerfile\n.dockerignore\n"


@pytest.mark.parametrize("content", ["app\n", ""])
def test_the_dockerfiles_own_ignore_file_wins(
    here: Repository, ctx: Callable[..., StageContext], content: str
) -> None:
    """Also an empty one."""
    here.write("docker/api.Dockerfile", "FROM scratch\n")
    here.write("docker/api.Dockerfile.dockerignore", content)
    here.write(".dockerignore", "Dockerfile\n")
    place = ctx(build={"dockerfile": "docker/api.Dockerfile"})
    assert "Dockerfile" in sent(place)
    assert ("app/main.py" in sent(place)) is (content == "")
    beside = prepare_build_context(place).dockerfile.with_name("api.Dockerfile.dockerignore")
    assert beside.read_bytes() == (content.encode() or b"#\n")


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile.dockerignore"])
def test_an_ignore_file_may_be_a_link(here: Repository, ctx: Callable[..., StageContext], name: str) -> None:
    """A link that was not followed would let everything through."""
    here.write("shared/ignored", "app\n")
    (here.root / name).symlink_to("shared/ignored")
    assert sent(ctx()) == {"Dockerfile", "shared/ignored", name}


@pytest.mark.parametrize("target", ["missing", "../outside", "/etc/hosts"])
def test_an_ignore_file_that_leads_nowhere_is_refused(
    here: Repository, ctx: Callable[..., StageContext], target: str
) -> None:
    """It would be read as an empty one."""
    (here.root / ".dockerignore").symlink_to(target)
    with pytest.raises(SourceError, match=r"\.dockerignore"):
        prepare_build_context(ctx())


def test_a_dockerfile_may_be_a_link(here: Repository, ctx: Callable[..., StageContext]) -> None:
    """To anywhere in the commit, also above the context."""
    here.write("images/common", 'FROM scratch\nCMD ["x"]\n')
    (here.root / "app" / "Dockerfile").symlink_to("../images/common")
    place = ctx(context="app")
    assert prepare_build_context(place).dockerfile.read_bytes() == b'FROM scratch\nCMD ["x"]\n'
    assert not prepare_build_context(place).dockerfile.is_symlink()


def test_a_dockerfile_outside_of_the_commit_is_refused(
    here: Repository, ctx: Callable[..., StageContext]
) -> None:
    """The working copy and the machine are never read."""
    (here.root / "Dockerfile").unlink()
    (here.root.parent / "Dockerfile").write_text("FROM scratch\n")
    (here.root / "Dockerfile").symlink_to("../Dockerfile")
    with pytest.raises(SourceError, match="out of the repository"):
        prepare_build_context(ctx())


def test_a_missing_dockerfile_is_refused(here: Repository, ctx: Callable[..., StageContext]) -> None:
    """By its path in the commit."""
    (here.root / "Dockerfile").unlink()
    with pytest.raises(GateFailed, match="has no app/Dockerfile"):
        prepare_build_context(ctx(context="app"))


def test_what_is_ignored_refuses_nothing(here: Repository, ctx: Callable[..., StageContext]) -> None:
    """Neither a submodule, nor a pointer of Git LFS; nor is it read or written."""
    here.write("big/model.bin", POINTER)
    submodule(here, "vendor/lib")
    here.write(".dockerignore", "big\nvendor\n")
    place = ctx()
    assert sent(place) == {".dockerignore", "Dockerfile", "app/main.py"}
    assert select_context_files(place).committed.submodules == ["vendor/lib"]


def test_a_submodule_that_is_not_ignored_is_refused(
    here: Repository, ctx: Callable[..., StageContext]
) -> None:
    """The message says how to ignore it."""
    submodule(here, "vendor/lib")
    with pytest.raises(GateFailed, match="vendor/lib is a submodule") as caught:
        prepare_build_context(ctx())
    assert "name it in .dockerignore" in str(caught.value)


def test_a_pattern_that_buildkit_refuses_is_refused(
    here: Repository, ctx: Callable[..., StageContext]
) -> None:
    """Before anything is built."""
    here.write(".dockerignore", "app\n[\n")
    with pytest.raises(BadPattern, match=r"\.dockerignore"):
        prepare_build_context(ctx())


def test_nothing_is_kept_of_a_context_that_failed_half_way(
    here: Repository, ctx: Callable[..., StageContext]
) -> None:
    """Whoever asks next gets the same error, and no folder."""
    here.write("b/model.bin", POINTER)
    here.write("c/rest", "never written")
    place = ctx()
    for _ in range(3):
        with pytest.raises(GateFailed, match=r"b/model\.bin is in Git LFS"):
            prepare_build_context(place)
    assert not list(place.run_folder.path.glob("context*"))


def test_a_file_that_git_crypt_encrypts_is_refused(
    here: Repository, ctx: Callable[..., StageContext]
) -> None:
    """The image would have bytes that the service cannot read; what is ignored is no matter."""
    here.write("conf/keys.toml", b"\0GITCRYPT\0\x01\x02")
    with pytest.raises(GateFailed, match=r"conf/keys\.toml is encrypted by git-crypt"):
        prepare_build_context(ctx())
    here.write(".dockerignore", "conf\n")
    assert "app/main.py" in sent(ctx())


def test_a_full_disk_leaves_nothing(
    here: Repository, ctx: Callable[..., StageContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second caller gets the first one's error."""

    place = ctx()

    def full(entries: Iterator[Any]) -> Iterator[Any]:
        yield next(entries)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_refuse_filter_placeholders", full)
    with ThreadPoolExecutor() as pool:
        errors = [pool.submit(prepare_build_context, place).exception() for _ in range(3)]
    assert [type(error) for error in errors] == [OSError] * 3
    assert len({id(error) for error in errors}) == 1
    assert not list(place.run_folder.path.glob("context*"))


def test_the_folder_is_named_by_its_content(here: Repository, ctx: Callable[..., StageContext]) -> None:
    """BuildKit compares sizes and times alone with what it got before from a folder of that name."""
    first = prepare_build_context(ctx()).folder.name
    here.write("unrelated", "1")
    here.write(".dockerignore", "unrelated\n.dockerignore\n")
    assert prepare_build_context(ctx()).folder.name == first
    here.write("app/main.py", "PRINT()")
    second = prepare_build_context(ctx()).folder.name
    here.write("app/main.py", "PRINT()", mode=0o755)
    third = prepare_build_context(ctx()).folder.name
    assert len({first, second, third}) == 3


def test_our_own_configuration_is_left_out(here: Repository, ctx: Callable[..., StageContext]) -> None:
    """Another timeout for the smoke run is no other context."""
    here.write("release.toml", "smoke.port = 1")
    here.write("app/release.toml", "is another file")
    first = ctx()
    assert sent(first) == {"Dockerfile", "app/main.py", "app/release.toml"}
    here.write("release.toml", "smoke.port = 2")
    assert select_context_files(ctx()).key == select_context_files(first).key


def test_another_tools_file_of_that_name_stays(here: Repository, ctx: Callable[..., StageContext]) -> None:
    """It is ours only if pyproject.toml has no table."""
    here.write("release.toml", "sign-commit = true")
    here.write("pyproject.toml", "[tool.release]\n")
    assert "release.toml" in sent(ctx())


def test_the_context_goes_with_the_run(ctx: Callable[..., StageContext]) -> None:
    """It can be written again from the commit."""
    place = ctx()
    prepare_build_context(place)
    place.run_folder.remove_temporary_files()
    assert not list(place.run_folder.path.glob("context*"))
