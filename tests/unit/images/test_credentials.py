"""What is known of a registry's users, and where it is found."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from release.errors import UsageError
from release.images.credentials import VARIABLE, Credentials, credentials

HOST = "registry.example:5000"


def config(user: str) -> str:
    """The text of a config.json with a login of this user."""
    encoded = base64.b64encode(f"{user}:pw-of-{user}".encode()).decode()
    return json.dumps({"auths": {HOST: {"auth": encoded}}})


def login(user: str) -> Credentials:
    """What is to be found of it."""
    return Credentials(user=user, password=f"pw-of-{user}")


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config.json of this test's own DOCKER_CONFIG."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def test_nothing_is_known_of_nobody() -> None:
    """Without a file and without a variable."""
    assert credentials(HOST, {}) is None


def test_a_login_is_kept_in_a_file(kept: Path) -> None:
    """As `docker login` leaves it."""
    kept.write_text(config("ada"))
    assert credentials(HOST, {}) == login("ada")


def test_a_job_brings_its_own(kept: Path) -> None:
    """DOCKER_AUTH_CONFIG goes before the machine's file."""
    kept.write_text(config("ada"))
    assert credentials(HOST, {VARIABLE: config("ci")}) == login("ci")


def test_what_a_job_does_not_bring_is_in_the_file(kept: Path) -> None:
    """For a registry that the variable does not name, and for an empty variable."""
    kept.write_text(config("ada"))
    for text in ("", "{}", '{"auths": {"other.example": {"auth": "eDp5"}}}'):
        assert credentials(HOST, {VARIABLE: text}) == login("ada")


@pytest.mark.parametrize("text", ["hunter2", '["hunter2"]', '{"auths": "hunter2"}', '"hunter2"'])
def test_a_variable_that_is_no_configuration_is_not_quoted(text: str) -> None:
    """Somebody may have put the password itself there."""
    with pytest.raises(UsageError) as caught:
        credentials(HOST, {VARIABLE: text})
    assert VARIABLE in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__cause__)


def test_a_password_does_not_show_itself() -> None:
    """In what a debugger or a log prints."""
    assert "pw" not in repr(login("ada"))
