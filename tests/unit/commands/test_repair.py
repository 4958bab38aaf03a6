"""Which releases `invoke verify --repair` makes names for."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.commands import repair
from release.commands.repair import Mismatch
from release.deploy.environment.environment import Workspace
from release.records import Release
from tests.unit.git.test_commit_origin import smuggled
from tests.unit.ledger import samples
from tests.unit.repository import Repository
from tests.unit.test_image_rebuild import TODAY


@pytest.fixture
def here(tmp_path: Path) -> Repository:
    made = Repository.init(tmp_path / "here")
    made.commit("feat: start", **{"pyproject.toml": TODAY})
    return made


def believed(here: Repository, commit: str, **image: str) -> Mismatch:
    """What becomes of a missing name of the release 9.0.0, which could be made."""
    body = samples.release("9.0.0", commit=commit).body
    assert isinstance(body, Release)
    body = body.model_copy(update={"image": body.image.model_copy(update=image)})
    missing = Mismatch(kind="git-tag", name="v9.0.0", found="missing", correct=lambda: None)
    with Workspace.open(here.root, None, environ={}, emit=lambda _: None) as workspace:
        return repair._withhold_unproven(workspace, body, missing)


@pytest.mark.attack(
    "`invoke verify --repair --yes` with a release record that names the attacker's commit",
    "Git tags and registry tags are made only for commits in the service's own history",
)
def test_no_name_is_made_for_a_commit_that_is_not_the_services(here: Repository) -> None:
    """Neither a git tag nor an image's; why is said."""
    evil = smuggled(here)
    finding = believed(here, evil)
    assert finding.correct is None
    assert f"missing; not added: the commit {evil} is not in the history of" in finding.found


def test_no_name_is_made_in_another_repository(here: Repository) -> None:
    """The operator's configuration says where images are."""
    head = here.git("rev-parse", "HEAD")
    finding = believed(here, head, repository="registry.example/other/api")
    assert finding.correct is None
    assert (
        "the record has registry.example/other/api, but the configuration has localhost/api" in finding.found
    )


def test_a_name_of_a_release_of_the_service_is_made(here: Repository) -> None:
    """The commit is in the checked-out branch."""
    assert believed(here, here.git("rev-parse", "HEAD")).correct is not None
