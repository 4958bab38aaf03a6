"""How a release is made: what may be said of gates, build and registry."""

from __future__ import annotations

import pytest

from tests.unit.config.written import MINIMAL, problems, service


@pytest.mark.parametrize("other", ['install = ["pytest"]', 'copy = ["tests"]', 'groups = ["dev"]'])
def test_tests_run_in_one_way(other: str) -> None:
    """A stage, or a throw-away layer."""
    found = problems(f'{MINIMAL}[tool.release.test]\ntarget = "test"\n{other}')
    said = "give either target, or install, groups, extras, requirements and copy, not both"
    assert found == {"tool.release.test": said}


@pytest.mark.parametrize("tool", ["ruff", "ruff>=1", "ruff==0.*", "ruff==1,<2", "ruff @ https://x", "=="])
def test_a_tool_without_an_exact_version_is_refused(tool: str) -> None:
    """The gate must mean the same tomorrow."""
    found = problems(f'{MINIMAL}[tool.release.lint]\ntools = ["mypy==1.0", "{tool}"]')
    expected = f'{tool!r} is not pinned: write the exact version, as "ruff==0.14.5"'
    assert found == {"tool.release.lint.tools[1]": expected}


@pytest.mark.parametrize("tool", ["ruff==0.14.5", "mypy[reports] == 1.0", "a===1.0; python_version > '3'"])
def test_a_tool_with_an_exact_version_is_accepted(tool: str) -> None:
    """Extras and markers are part of a requirement."""
    assert service(f'[tool.release.lint]\ntools = ["{tool}"]').lint.tools == (tool,)


@pytest.mark.parametrize(
    ("key", "table"), [("commands", "lint"), ("install", "test")], ids=["commands", "install"]
)
def test_a_command_must_split_into_words(key: str, table: str) -> None:
    """An open quote, or nothing at all, is found at the door."""
    found = problems(f'{MINIMAL}[tool.release.{table}]\n{key} = ["ruff \'x", " ", "ok \'x y\'"]')
    assert set(found) == {f"tool.release.{table}.{key}[0]", f"tool.release.{table}.{key}[1]"}


@pytest.mark.parametrize("path", ["/srv", "..", "a/../../b", "../x"])
def test_a_path_may_not_leave_the_repository(path: str) -> None:
    """Only committed files are released."""
    found = problems(f'{MINIMAL}[tool.release]\ncontext = "{path}"')
    assert found == {
        "tool.release.context": f"{path!r} leads out of the repository: write a path below its root"
    }


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a..b", "a~1", "a^", "a:b", "a@{1}", "x.lock", "/a", "a/", ".a"]
)
def test_a_name_that_git_refuses_is_refused_here(name: str) -> None:
    """A leading dash would be an option."""
    assert list(problems(f'{MINIMAL}[tool.release.ledger]\nbranch = "{name}"')) == [
        "tool.release.ledger.branch"
    ]


@pytest.mark.parametrize(
    "place", ["", "https://registry.example", "registry.example/", "Acme", "a:b/c", "x@y"]
)
def test_what_is_no_place_in_a_registry_is_refused(place: str) -> None:
    """The message shows the form, not the repository made from it."""
    message = problems(f'{MINIMAL}[tool.release]\nregistry = "{place}"')["tool.release.registry"]
    assert message.startswith(f"{place!r} is not a place in a registry: write host[:port][/path]")


@pytest.mark.parametrize("platform", ["linux", "darwin/arm64", "linux/AMD64", "linux/arm/7"])
def test_a_platform_is_one_of_linux(platform: str) -> None:
    """As BuildKit writes it."""
    assert list(problems(f'{MINIMAL}[tool.release.build]\nplatform = "{platform}"')) == [
        "tool.release.build.platform"
    ]


def test_the_releases_own_build_arguments_are_not_configured() -> None:
    """VERSION, COMMIT and SOURCE_DATE_EPOCH are set by the release; a value of one's own would be lost."""
    found = problems(f'{MINIMAL}\n[tool.release.build]\nargs = {{ VERSION = "9", FLAVOUR = "x" }}\n')
    assert found == {
        "tool.release.build.args": (
            "VERSION: remove it, because each release sets it itself. Declare it as ARG in the Dockerfile"
        )
    }


def test_a_build_argument_that_looks_like_a_secret_is_refused_with_the_way_to_do_it() -> None:
    """At its own path, by the rule's name, and without the value."""
    keys = (
        '[tool.release.build]\nargs = { INDEX_TOKEN = "canary", URL = "https://a:canary@b/", FLAVOUR = "x" }'
    )
    message = problems(MINIMAL + keys)["tool.release.build.args"]
    assert "INDEX_TOKEN looks like a secret (its name contains 'TOKEN')" in message
    assert "URL looks like a secret (its value has the shape of an address with a password)" in message
    assert "`build.secrets.<id>`" in message
    assert "canary" not in message
    assert "FLAVOUR" not in message


def test_a_false_alarm_is_allowed_by_name() -> None:
    """The others are looked at all the same."""
    keys = '[tool.release.build]\nnot_secret = ["CACHE_KEY"]\nargs = { CACHE_KEY = "7" }'
    assert service(keys).build.args == {"CACHE_KEY": "7"}
    both = '[tool.release.build]\nnot_secret = ["CACHE_KEY"]\nargs = { CACHE_KEY = "7", API_KEY = "8" }'
    assert list(problems(MINIMAL + both)) == ["tool.release.build.args"]


def test_the_value_of_a_build_argument_is_never_shown() -> None:
    """Also where it has the wrong shape."""
    assert "canary" not in str(problems(f'{MINIMAL}[tool.release.build]\nargs = {{ A = ["canary"] }}'))


@pytest.mark.parametrize("written", ["", "=x", "a b", "a=", "a=/one,/two"])
def test_an_ssh_agent_or_key_is_an_id_and_at_most_one_path(written: str) -> None:
    """BuildKit would read a comma as the next key."""
    keys = f"[tool.release.build]\nssh = [{written!r}]"
    assert "is not an id for" in problems(MINIMAL + keys)["tool.release.build.ssh[0]"]


def test_the_test_layer_names_secrets_that_the_build_has() -> None:
    """And only where something is installed."""
    layer = '[tool.release.test]\ninstall = ["x"]\nsecrets = { PIP_CONFIG_FILE = "pip" }\n'
    known = '[tool.release.build.secrets]\npip = { from_env = "PIP" }\n'
    assert service(layer + known).test.secrets == {"PIP_CONFIG_FILE": "pip"}
    assert "test.secrets: add pip to build.secrets" in problems(MINIMAL + layer)["tool.release"]
    alone = layer.replace('install = ["x"]\n', "")
    assert "secrets work with install" in problems(MINIMAL + alone + known)["tool.release.test"]


def test_a_moment_of_a_command_that_is_not_there_is_refused() -> None:
    """Somebody who writes the moment expects that something runs."""
    table = f'{MINIMAL}[tool.release.migrations]\npaths = ["m/*.py"]\nwhen = "after"\n'
    (message,) = problems(table).values()
    assert message == 'when = "after" needs `up`, the command that runs then'
