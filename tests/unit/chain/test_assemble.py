"""From a real repository to a plan: which tags and commits choose the version, and what is told of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from release.chain.assemble import Project
from release.chain.plan import Options
from release.errors import NothingToRelease, UsageError, VersionTaken
from release.events import Event, Notice, Warned
from release.versioning.version import Request
from tests.unit.repository import Repository

PROJECT = '[tool.release]\nservice = "api"\n{}\n[tool.release.smoke]\nport = 8000\n'


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    """A repository with a configuration and no tag."""
    made = Repository.init(tmp_path / "here")
    made.commit("feat: start", **{"pyproject.toml": PROJECT.format("")})
    return made


def planned(here: Repository, **wanted: str) -> tuple[str, list[str]]:
    """The next version, and what was told."""
    told: list[Event] = []
    project = Project.open(here.root, None, told.append)
    options = Options(request=Request.parse(version=wanted.get("version"), bump=wanted.get("bump")))
    try:
        facts = project.read_facts(options)
        project.report_commit_messages(facts, options)
        return project.plan_release(facts, options).tag, [
            each.text for each in told if isinstance(each, Warned | Notice)
        ]
    finally:
        project.source.close()


def test_tags_of_two_parts_are_refused_or_read_as_the_configuration_says(here: Repository) -> None:
    """Never silently left out."""
    here.git("tag", "v4.2", "HEAD")
    here.commit("docs: words", words="1")
    here.git("tag", "v4.3", "HEAD")
    here.commit("fix: more", more="1")
    with pytest.raises(UsageError, match=r"git tags 'v4\.3', 'v4\.2' do not count"):
        planned(here)
    with pytest.raises(UsageError):
        planned(here, version="4.3.0")
    here.commit("chore: read them", **{"pyproject.toml": PROJECT.format('tags = "loose"')})
    assert planned(here)[0] == "v4.3.1"
    here.commit("chore: ignore them", **{"pyproject.toml": PROJECT.format('tags = "strict"')})
    assert planned(here)[0] == "v0.1.0"


def test_a_tag_that_moves_with_the_releases_is_no_obstacle(here: Repository) -> None:
    """As `v1` beside `v1.2.0`."""
    for tag in ("v1.2.0", "v1", "v1.2"):
        here.git("tag", tag)
    here.commit("fix: more", more="1")
    assert planned(here)[0] == "v1.2.1"


def test_tags_without_a_v_are_not_overlooked(here: Repository) -> None:
    """They are versions in another form."""
    here.git("tag", "4.2.0")
    here.commit("fix: more", more="1")
    with pytest.raises(UsageError, match=r"the next version is then 4\.2\.1") as caught:
        planned(here)
    assert "4.2.0" in str(caught.value)


def test_an_old_line_gets_its_next_version_by_itself(here: Repository) -> None:
    """A fix, a feature, a second fix; a breaking change is refused."""
    here.git("tag", "v1.4.0")
    here.commit("feat!: all new", new="1")
    here.git("tag", "v2.1.0")
    here.git("checkout", "-q", "-b", "1.x", "v1.4.0")
    here.commit("fix: old", old="1")
    assert planned(here)[0] == "v1.4.1"
    here.git("tag", "v1.4.1")
    here.commit("feat: old", old="2")
    assert planned(here)[0] == "v1.5.0"
    assert planned(here, version="1.4.2")[0] == "v1.4.2"
    here.git("tag", "v1.5.0", "v2.1.0")
    with pytest.raises(VersionTaken, match=r"1\.5\.0 exists"):
        planned(here)
    here.git("tag", "-d", "v1.5.0")
    here.commit("fix!: old", old="3")
    with pytest.raises(VersionTaken, match="breaking change") as caught:
        planned(here)
    assert "--bump minor" in caught.value.hint
    assert planned(here, bump="minor")[0] == "v1.5.0"


def test_reverts_and_footers_choose_the_version(here: Repository) -> None:
    """Git's own revert of a released commit, an unreleased pair, a footer with its text on the next line."""
    bad = here.commit("feat: bad", bad="1")
    here.git("tag", "v1.2.0")
    here.git("revert", "--no-edit", bad)
    assert planned(here) == ("v1.2.1", [])
    here.git("revert", "--no-edit", "HEAD")
    with pytest.raises(NothingToRelease, match="cancel out"):
        planned(here)
    here.commit("fix: x\n\nBREAKING CHANGE:\nthe key is gone", x="1")
    assert planned(here)[0] == "v2.0.0"


def test_what_was_nearly_read_is_told_if_commits_choose_the_version(here: Repository) -> None:
    """One warning and one notice; nothing when the version is given."""
    here.git("tag", "v1.2.0")
    here.commit("feat:x", a="1")
    here.commit("Words", a="2")
    here.commit("fix: y", a="3")
    version, told = planned(here)
    assert version == "v1.2.1"
    assert "`feat:x` (write `feat: x` for a minor version)" in told[0]
    assert "`Words`" in told[1]
    assert planned(here, bump="minor") == ("v1.3.0", [])


@pytest.mark.parametrize(
    ("files", "words", "status"),
    [
        ({"pyproject.toml": PROJECT.format("port = 1")}, (), 2),
        ({}, ("--", "--version", "latest"), 2),
        ({}, ("--", "--servcie", "api"), 2),
        ({"untidy": "1"}, (), 1),
    ],
    ids=["configuration", "version", "option", "anything else"],
)
def test_a_session_ends_with_status_2_if_what_is_asked_makes_no_sense(
    here: Repository, files: dict[str, str], words: tuple[str, ...], status: int
) -> None:
    """As a task does; every other failure is nox's own 1."""
    here.commit("chore: register", **{"noxfile.py": "import release\n\nrelease.register()\n"} | files)
    here.git("tag", "v1.0.0")
    ran = subprocess.run(
        [sys.executable, "-m", "nox", "-s", "release", *(words or ("--", "--plan"))],
        cwd=here.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == status, ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_command_of_the_smoke_run_alone_is_warned_of(here: Repository) -> None:
    """In a release and in a check, once in each."""
    alone = PROJECT.format("") + 'command = ["serve"]\n[tool.release.environments.production]\n'
    here.commit("fix: serve", **{"pyproject.toml": alone})
    assert sum("the smoke run tests `serve`" in text for text in planned(here)[1]) == 1
    told: list[Event] = []
    project = Project.open(here.root, None, told.append)
    project.plan_gates(project.read_facts(Options()), Options())
    project.source.close()
    assert sum("the smoke run tests `serve`" in each.text for each in told if isinstance(each, Warned)) == 1
