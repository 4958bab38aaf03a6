"""What looks like a secret, and what only reminds of one."""

from __future__ import annotations

import pytest

from release.secrets.detection import secret_suspicion, secrets_of

RANDOM = "Zx81kQpT0wLmN4vB7cRy2JhG"


@pytest.mark.parametrize(
    "name",
    ["API_TOKEN", "dbPassword", "SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "passphrase", "DB_PASS", "apiKey"],
)
def test_a_whole_word_of_the_name_says_it(name: str) -> None:
    """Words are parted by _ and by capitals."""
    assert str(secret_suspicion(name, "x")).startswith("its name contains ")


@pytest.mark.parametrize("name", ["TOKENIZER", "MONKEY", "KEYBOARD", "COMPASS", "PASSENGERS", "SECRETARY"])
def test_a_part_of_a_word_says_nothing(name: str) -> None:
    """Tokenizers and keyboards are no secrets."""
    assert secret_suspicion(name, "x") is None


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("https://ada:canary-1@index.example/simple", "an address with a password"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "a private key"),
        ("AKIA" + "Q" * 16, "an AWS access key"),
        ("ghp_" + "a1" * 18, "a GitHub token"),
        ("glpat-" + "a1" * 10, "a GitLab token"),
        ("pypi-" + "a1" * 20, "a PyPI token"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "a JSON web token"),
        (RANDOM, "as random as a key"),
    ],
)
def test_the_look_of_a_value_says_it(value: str, what: str) -> None:
    """Shapes that issuers made recognisable, and text that is too random; the value is not in the words."""
    why = secret_suspicion("FLAVOUR", value)
    assert why is not None
    assert what in why
    assert value not in why


@pytest.mark.parametrize(
    "value",
    [
        "slim",
        "https://index.example/simple",
        "https://files.example/releases/download/v1.2.3/project-1.2.3-linux-x86_64.tar.gz",
        "bbe610eaa259e27b9fea7babd60c5d5242c31751",
        "sha256:c0625dba4b44a11cd7f63370b6729ce7aa9a47a71093114e2c684027662ed408",
        "9b2f4c1e-6a57-4e0a-9d1c-0f6b7f1f2a3b",
        "2026-11-22T18:41:32.000Z",
        "THE_QUICK_BROWN_FOX_JUMPS_OVER",
    ],
)
def test_versions_commits_digests_and_addresses_are_no_secrets(value: str) -> None:
    """What build arguments usually hold passes."""
    assert secret_suspicion("FLAVOUR", value) is None


def test_an_environment_tells_what_to_mask() -> None:
    """Values of variables that say so, and passwords in addresses; no paths, and no plain words."""
    environ = {
        "CI_JOB_TOKEN": "canary-token",
        "UV_INDEX_URL": "https://ada:canary-password@index.example/simple",
        "SSL_KEY": "/etc/ssl/key.pem",
        "HAS_TOKEN": "true",
        "SSH_KEY": "production",
        "SSH_KEY_NAME": "canary-name",
        "PATH": "/usr/bin:/opt/canary",
    }
    assert [value.reveal() for value in secrets_of(environ)] == ["canary-token", "canary-password"]
