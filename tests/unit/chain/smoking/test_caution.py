"""A smoke run whose command no environment runs is warned of."""

from __future__ import annotations

import pytest

from release.chain.smoking.caution import untested_commands_warning
from tests.unit.config.written import service

PRODUCTION, STAGING = "[tool.release.environments.production]", "[tool.release.environments.staging]"
SERVE = 'command = ["serve", "--now"]'


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (f"{SERVE}\n{PRODUCTION}", "but production runs the command of the image"),
        (f'{SERVE}\n{PRODUCTION}\ncommand = ["web"]', "but production runs `web`"),
        (f'{SERVE}\n{PRODUCTION}\n{SERVE}\nentrypoint = "keep"', "but production runs `serve --now`"),
        (f"{SERVE}\n{PRODUCTION}\n{SERVE}\n{STAGING}", "but staging runs the command of the image"),
        (f"{SERVE}\n{PRODUCTION}\n{STAGING}", "but production (and 1 more) runs"),
    ],
)
def test_an_environment_with_another_command_is_named(written: str, said: str) -> None:
    caution = untested_commands_warning(service(written))
    assert caution.startswith("the smoke run tests `serve --now`")
    assert said in caution


@pytest.mark.parametrize(
    "written",
    [SERVE, PRODUCTION, f"{PRODUCTION}\n{SERVE}", f"{SERVE}\n{PRODUCTION}\n{SERVE}"],
)
def test_nothing_is_said_where_the_commands_are_equal_or_smoke_has_none(written: str) -> None:
    assert untested_commands_warning(service(written)) == ""


def test_a_process_of_an_environment_that_no_smoke_run_covers_is_named() -> None:
    """With its environment. The release goes on, as the warning is all."""
    smoke = '[tool.release.smoke.processes.worker]\ncommand = ["work"]\nstays_up = "10s"\n'
    table = f"{PRODUCTION[:-1]}.processes."
    written = f'{smoke}{table}worker]\ncommand = ["work"]\n{table}beat]\ncommand = ["beat"]\n{table}web]\n'
    caution = untested_commands_warning(service(written))
    assert caution.startswith("no smoke run tests what production (beat) runs, `beat`")


def test_an_environment_that_no_process_covers_is_named() -> None:
    """With processes, each environment needs one of their commands."""
    worker = '[tool.release.smoke.processes.worker]\ncommand = ["work"]\nstays_up = "10s"\n'
    covered = f'{worker}{PRODUCTION}\n{STAGING}\ncommand = ["work"]'
    assert untested_commands_warning(service(covered)) == ""
    caution = untested_commands_warning(service(f'{worker}{PRODUCTION}\n{STAGING}\ncommand = ["beat"]'))
    assert caution.startswith("no smoke run tests what staging runs, `beat`: add a process")
