"""The throw-away layer, and how pytest is asked for its report."""

from __future__ import annotations

from release import config
from release.chain.test import layer_dockerfile, with_report
from release.reference import Reference

BASE = Reference.parse("localhost/api:sha-abc")


def test_the_layer_installs_as_root_and_gives_the_user_back() -> None:
    """The tests run as the user that production runs as."""
    text = layer_dockerfile(
        BASE, "10001", config.Test.model_validate({"install": ["-r requirements-dev.txt"], "copy": ["tests"]})
    )
    lines = text.splitlines()
    assert lines[:2] == ["FROM localhost/api:sha-abc", "USER 0"]
    assert lines[2:4] == ["COPY requirements-dev.txt requirements-dev.txt", "COPY tests tests"]
    assert lines[4].endswith("pip install --no-cache-dir -r requirements-dev.txt")
    assert lines[5] == "USER 10001"


def test_the_installation_is_lent_the_secrets_that_it_names() -> None:
    """Each is mounted for that one step, and a variable says where."""
    config_ = {"install": ["six"], "secrets": {"PIP_CONFIG_FILE": "pip", "NETRC": "netrc"}}
    text = layer_dockerfile(BASE, "", config.Test.model_validate(config_))
    (run,) = [line for line in text.splitlines() if line.startswith("RUN ")]
    assert run.startswith(
        "RUN --mount=type=secret,id=netrc,required=true --mount=type=secret,id=pip,required=true "
        "export NETRC=/run/secrets/netrc PIP_CONFIG_FILE=/run/secrets/pip; "
    )


def test_an_image_that_runs_as_root_keeps_doing_so() -> None:
    """Without a user in the image none is invented."""
    assert "USER 10001" not in layer_dockerfile(BASE, "", config.Test.model_validate({"copy": ["tests"]}))


def test_files_named_by_the_installation_are_copied_first() -> None:
    """`-r requirements-dev.txt` needs the file in the layer."""
    text = layer_dockerfile(BASE, "", config.Test.model_validate({"install": ["-r requirements-dev.txt"]}))
    assert "COPY requirements-dev.txt requirements-dev.txt" in text


def test_pytest_is_asked_for_a_report() -> None:
    """Other programs are run as they are configured."""
    assert with_report(("python", "-m", "pytest"))[-1].startswith("--junitxml=")
    assert with_report(("make", "check")) == ("make", "check")
