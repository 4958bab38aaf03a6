"""What is known of a registry's users, and where it is found."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from release.errors import UsageError
from release.images.credentials import VARIABLE, Credentials, credentials, write_docker_config

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


def test_a_password_may_hold_a_colon(kept: Path) -> None:
    """The first one ends the user's name (RFC 7617); a registry without a login has none."""
    encoded = base64.b64encode(b"me:a:b").decode()
    kept.write_text(json.dumps({"auths": {HOST: {"auth": encoded}, "other": {}}}))
    assert credentials(HOST, {}) == Credentials(user="me", password="a:b")
    assert credentials("other", {}) is None


def test_an_identity_token_is_found(kept: Path) -> None:
    """Some registries give a token in place of the password."""
    kept.write_text(json.dumps({"auths": {HOST: {"identitytoken": "t0ken"}}}))
    assert credentials(HOST, {}) == Credentials(identity_token="t0ken")


def helper(folder: Path, answer: Mapping[str, str] | None) -> str:
    """A credential helper on the PATH that gives this answer, or fails."""
    program = folder / "docker-credential-tests"
    body = f"echo '{json.dumps(answer)}'" if answer is not None else "echo broken >&2; exit 1"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"Username": "me", "Secret": "pw"}, Credentials(user="me", password="pw")),
        ({"Username": "<token>", "Secret": "t0ken"}, Credentials(identity_token="t0ken")),
    ],
)
def test_a_helper_is_asked(
    kept: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: dict[str, str],
    expected: Credentials,
) -> None:
    """credHelpers for the host; the user `<token>` means an identity token."""
    monkeypatch.setenv("PATH", helper(tmp_path, answer))
    kept.write_text(json.dumps({"credHelpers": {HOST: "tests"}}))
    assert credentials(HOST, {}) == expected


def test_a_broken_helper_is_passed_over(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that fails or is not installed counts as empty; a login in the file still counts."""
    monkeypatch.setenv("PATH", helper(tmp_path, None))
    login = json.loads(config("me"))
    for store in ("tests", "not-installed"):
        kept.write_text(json.dumps({"credsStore": store}))
        assert credentials(HOST, {}) is None
        kept.write_text(json.dumps({"credsStore": store, **login}))
        assert credentials(HOST, {}) == Credentials(user="me", password="pw-of-me")


def test_a_damaged_login_is_a_usage_error(kept: Path) -> None:
    """It is said which file is damaged and how to write it anew, without showing what is in it."""
    kept.write_text(json.dumps({"auths": {HOST: {"auth": "!secret!"}}}))
    with pytest.raises(UsageError, match="damaged") as caught:
        credentials(HOST, {})
    assert "secret" not in str(caught.value)
    assert caught.value.hint == f"docker login {HOST}"


def test_a_user_and_a_password_may_stand_for_themselves(kept: Path) -> None:
    """As in a file that a program has written; `docker` reads both forms."""
    kept.write_text(json.dumps({"auths": {HOST: {"username": "ada", "password": "pw-of-ada"}}}))
    assert credentials(HOST, {}) == login("ada")


@pytest.mark.parametrize("broken", [{"auth": "!secret!"}, "a word", {"auth": 1}])
def test_another_hosts_damaged_login_is_not_ours(kept: Path, broken: object) -> None:
    """In the file and in the variable."""
    known = json.dumps({"auths": {**json.loads(config("ada"))["auths"], "other.example": broken}})
    kept.write_text(known)
    assert credentials(HOST, {}) == credentials(HOST, {VARIABLE: known}) == login("ada")
    with pytest.raises(UsageError):
        credentials("other.example", {})


def lent(folder: Path, text: str, kept: Path) -> dict[str, str]:
    folder.mkdir()
    return write_docker_config(folder, {VARIABLE: text, "DOCKER_CONFIG": str(kept.parent)})


def test_docker_is_lent_the_jobs_logins(kept: Path, tmp_path: Path) -> None:
    """Beside what its own configuration holds; nobody else may read it, and no helper is asked for them."""
    kept.write_text(json.dumps({"credsStore": "x", "auths": {"other.example": {"auth": "eDp5"}}}))
    (tmp_path / "cli-plugins").mkdir()
    folder = tmp_path / "lent"
    both = {HOST: {"username": "ada", "password": "pw-of-ada"}, "token.example": {"identitytoken": "t0ken"}}
    assert lent(folder, json.dumps({"auths": {**both, "broken.example": 1}}), kept) == {
        "DOCKER_CONFIG": str(folder)
    }
    assert (folder / "config.json").stat().st_mode & 0o777 == 0o600
    assert (folder / "cli-plugins").resolve() == tmp_path / "cli-plugins"
    written = json.loads((folder / "config.json").read_text())
    assert written == {
        "credsStore": "x",
        "auths": {
            "other.example": {"auth": "eDp5"},
            HOST: json.loads(config("ada"))["auths"][HOST],
            "token.example": {"identitytoken": "t0ken"},
        },
        "credHelpers": {HOST: "", "token.example": ""},
    }
    assert json.loads(kept.read_text())["auths"] == {"other.example": {"auth": "eDp5"}}


@pytest.mark.parametrize("text", ["", "{}", '{"auths": {}}', "hunter2", "[]", '{"auths": "x"}'])
def test_docker_keeps_its_own_configuration_where_no_login_is_given(
    kept: Path, tmp_path: Path, text: str
) -> None:
    """Nothing is made."""
    assert lent(tmp_path / "lent", text, kept) == {}
    assert list((tmp_path / "lent").iterdir()) == []


def test_credentials_are_not_shown() -> None:
    """Their text holds the user alone."""
    assert repr(Credentials(user="me", password="pw", identity_token="t0ken")) == "Credentials(user='me')"
