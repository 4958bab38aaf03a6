"""Groups and extras, as Dockerfiles install them."""

from __future__ import annotations

import pytest

from release.chain.installed.choosing import InstallOptions, choose_install_options
from release.chain.installed.commands import parse_install_commands, sets_uv_no_dev
from release.chain.installed.wanted import uv_export_options
from release.config import Installed


def words(run: str) -> list[tuple[str, ...]]:
    return [(each.tool, *each.words) for each in parse_install_commands(f"FROM a\nRUN {run}\n", None)]


@pytest.mark.parametrize(
    ("run", "found"),
    [
        ("pip install -r requirements.txt", ("pip", "install", "-r", "requirements.txt")),
        ("--mount=type=cache,target=/c pip install six", ("pip", "install", "six")),
        ("cd /a && A=1 python -m pip install six; echo", ("pip", "install", "six")),
        ('["uv", "sync", "--no-dev"]', ("uv", "sync", "--no-dev")),
        ("uv --directory /app sync", ("uv", "sync")),
        ("uv pip install --system six", ("pip", "install", "--system", "six")),
        ("/opt/poetry/bin/poetry install --only main", ("poetry", "install", "--only", "main")),
        ("pip --python /v/bin/python install six", ("pip", "install", "six")),
    ],
)
def test_commands_of_package_tools_are_found(run: str, found: tuple[str, ...]) -> None:
    """In shell form, in exec form, behind variables and other commands."""
    assert found in words(run)


@pytest.mark.parametrize("run", ["echo pip install six", "apt-get install pip", "make install"])
def test_other_commands_are_not(run: str) -> None:
    """A word in the middle is not the program."""
    assert words(run) == []


STAGES = """\
FROM python AS tools
RUN uv sync --group lint
FROM python AS packages
RUN uv sync --no-dev
FROM python AS runtime
COPY --from=packages /venv /venv
FROM runtime AS test
RUN uv sync --group test
"""


def test_only_stages_of_the_released_image_count() -> None:
    """Those below it and those that it copies from."""
    found = parse_install_commands(STAGES, "runtime")
    assert [(each.words, each.line) for each in found] == [(("sync", "--no-dev"), 4)]
    assert len(parse_install_commands(STAGES, None)) == 2


def of(kind: str, run: str, **settings: object) -> InstallOptions:
    dockerfile = f"FROM a\nRUN {run}\n"
    config = Installed.model_validate(settings)
    return choose_install_options(
        kind, config, parse_install_commands(dockerfile, None), no_dev=sets_uv_no_dev(dockerfile, None)
    )


def test_the_last_command_of_the_own_tool_decides() -> None:
    """It is named with its line."""
    choice = of("uv.lock", "uv sync --frozen --no-dev --extra pg --no-install-package big --locked")
    assert (
        choice.source == "`uv sync --frozen --no-dev --extra pg --no-install-package big --locked` (line 2)"
    )
    assert uv_export_options(choice) == ("--no-dev", "--extra", "pg", "--no-emit-package", "big")


def test_a_variable_of_uv_counts_as_its_option() -> None:
    """ENV UV_NO_DEV=1."""
    dockerfile = "FROM a\nENV UV_NO_DEV=1\nRUN uv sync\n"
    found = choose_install_options(
        "uv.lock",
        Installed(),
        parse_install_commands(dockerfile, None),
        no_dev=sets_uv_no_dev(dockerfile, None),
    )
    assert uv_export_options(found) == ("--no-dev",)


def test_settings_come_first() -> None:
    """`installed.groups` and `installed.extras`."""
    choice = of("uv.lock", "uv sync", groups=["main", "prod"], extras=["pg"])
    assert uv_export_options(choice) == ("--no-default-groups", "--group", "prod", "--extra", "pg")


@pytest.mark.parametrize("run", ["./install.sh", "poetry install $(cat options)", "pip install ."])
def test_what_no_command_says_is_not_known(run: str) -> None:
    """Then the service's own requirements must be there, and all that is locked may be."""
    choice = of("poetry.lock", run)
    assert (choice.is_known, {*(choice.groups or ())}) == (False, {"main"})


@pytest.mark.parametrize(
    ("run", "groups", "fewer"),
    [
        ("poetry install --only main,web", {"main", "web"}, set()),
        ("poetry install --only=main", {"main"}, set()),
        ("poetry install --without dev,docs", None, {"dev", "docs"}),
        ("poetry install --no-dev", None, {"dev"}),
    ],
)
def test_options_of_poetry(run: str, groups: set[str] | None, fewer: set[str]) -> None:
    """As its documentation has them."""
    choice = of("poetry.lock", run)
    assert choice.groups == (frozenset(groups) if groups is not None else None)
    assert choice.removed_groups == frozenset(fewer)


def test_options_of_pdm() -> None:
    """Short ones may have their value beside them."""
    choice = of("pdm.lock", "pdm sync --prod -Gweb -G :all")
    assert (choice.no_defaults, {*choice.added_groups}, choice.all_groups) == (True, {"web"}, True)


def test_options_of_pipenv() -> None:
    """`--dev`, and categories."""
    assert of("Pipfile.lock", "pipenv install --deploy --system").groups == frozenset({"main"})
    assert of("Pipfile.lock", "pipenv sync --dev").groups == frozenset({"main", "develop"})
    assert of("Pipfile.lock", 'pipenv sync --categories "packages docs"').groups == frozenset(
        {"packages", "docs"}
    )
