"""Which variables of the operator's environment programs get."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from release.programs.environment import (
    BASIC,
    ENGINE,
    EVERYTHING,
    NEVER,
    PACKAGES,
    VARIABLE,
    inherited_variables,
)

ENVIRON: Final[Mapping[str, str]] = {
    **dict.fromkeys(("PATH", "HOME", "LANG", "LC_ALL", "https_proxy", "SSL_CERT_FILE", "XDG_STATE"), "x"),
    **dict.fromkeys(("UV_DEFAULT_INDEX", "PIP_CONFIG_FILE"), "index"),
    **dict.fromkeys(("DOCKER_HOST", "DOCKER_AUTH_CONFIG", "SSH_AUTH_SOCK", "AWS_PROFILE"), "engine"),
    **dict.fromkeys(("PROD_DATABASE_URL", "GITHUB_TOKENS", "CI_JOB_TOKEN", "RELEASE_FINGERPRINT_KEY"), "own"),
    **dict.fromkeys(("GIT_DIR", "PYTHONPATH", "VIRTUAL_ENV"), "never"),
}


@pytest.mark.parametrize(
    ("group", "kinds"),
    [
        (BASIC, {"x"}),
        (PACKAGES, {"x", "index"}),
        (ENGINE, {"x", "engine"}),
        (EVERYTHING, {"x", "index", "engine", "own"}),
        ((), set()),
        (("PROD_*",), {"own"}),
    ],
)
def test_a_program_gets_the_variables_of_its_group(group: tuple[str, ...], kinds: set[str]) -> None:
    """A variable that points to another repository, or to other code, reaches none."""
    assert set(inherited_variables(group, ENVIRON).values()) == kinds


def test_every_group_has_all_of_its_kind() -> None:
    """Nothing of the basics is lost on the way."""
    basic = {name for name, value in ENVIRON.items() if value == "x"}
    assert inherited_variables(BASIC, ENVIRON).keys() == basic
    assert inherited_variables(ENGINE, ENVIRON).keys() > basic


def test_the_operator_names_more_for_the_engine_and_for_nothing_else() -> None:
    """A ProxyCommand or a login helper may need a variable that nobody knows here."""
    environ = {VARIABLE: "VAULT_ADDR, VAULT_T*", "VAULT_ADDR": "a", "VAULT_TOKEN": "t", "OTHER": "o"}
    assert inherited_variables(ENGINE, environ).keys() == {"VAULT_ADDR", "VAULT_TOKEN"}
    assert inherited_variables(BASIC, environ) == inherited_variables(PACKAGES, environ) == {}


def test_the_page_names_every_variable() -> None:
    """The lists are there and here."""
    page = (Path(__file__).parents[3] / "docs/reference/environment.md").read_text()
    names = {*BASIC, *PACKAGES, *ENGINE, *NEVER, VARIABLE}
    assert [name for name in names if not name.islower() and f"`{name}`" not in page] == []
