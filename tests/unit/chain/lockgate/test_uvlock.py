"""What uv.lock says, without uv."""

from __future__ import annotations

import pytest

from release.chain.lockgate.uvlock import describe_uv_differences, parse_uv_lock

PROJECT = """\
[project]
name = "Hello"
version = "1"
requires-python = ">=3.14"
dependencies = ["six==1.16.0", "Flask[async]>=3,<4 ; sys_platform == 'linux'"]
[project.optional-dependencies]
fast = ["orjson>=3"]
[dependency-groups]
dev = ["pytest>=9"]
"""
LOCK = """\
requires-python = ">=3.14"
[[package]]
name = "hello"
version = "1"
source = { virtual = "." }
[package.metadata]
requires-dist = [
    { name = "flask", extras = ["async"], marker = "sys_platform == 'linux'", specifier = ">=3,<4" },
    { name = "orjson", marker = "extra == 'fast'", specifier = ">=3" },
    { name = "six", specifier = "==1.16.0" },
]
[package.metadata.requires-dev]
dev = [{ name = "pytest", specifier = ">=9" }]
"""


def test_a_lockfile_that_says_what_is_declared_is_fresh() -> None:
    """In the spellings of uv."""
    assert describe_uv_differences(PROJECT, LOCK) is None


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("six==1.16.0", "six==1.17.0", "six==1.17.0 is not locked, six==1.16.0 is locked and not declared"),
        (">=3.14", ">=3.15", "requires-python is >=3.15, and >=3.14 is locked"),
        ('version = "1"', 'version = "2"', "version is 2, and 1 is locked"),
        ("orjson>=3", "orjson>=4", "orjson>=4 is not locked"),
        ("pytest>=9", "pytest>=8", "pytest>=8 is not locked"),
        ("Flask[async]", "Flask", "flask<4,>=3 is not locked"),
    ],
)
def test_a_difference_is_named(old: str, new: str, found: str) -> None:
    """Each kind of declaration."""
    assert found in str(describe_uv_differences(PROJECT.replace(old, new), LOCK))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sys_platform == 'linux'", "sys_platform == 'win32'"),
        ('"six==1.16.0"', '"six @ https://packages.example/six.whl"'),
        ('"pytest>=9"', '{ include-group = "more" }'),
        ("[project]", "[tool.uv.sources]\nsix = { path = 'six' }\n[project]"),
        ("[project]", "[project]\ndynamic = ['dependencies']"),
        ("[project]", "nothing"),
    ],
)
def test_what_cannot_be_told_is_an_error(old: str, new: str) -> None:
    """It is not called fresh."""
    with pytest.raises((ValueError, LookupError, TypeError)):
        describe_uv_differences(PROJECT.replace(old, new, 1), LOCK)


def test_uv_lock_gives_names_and_versions() -> None:
    """The project itself, which may have no version, is not a dependency of it."""
    content = (
        '[[package]]\nname = "idna"\nversion = "3.11"\n[[package]]\nname = "api"\nsource = {editable="."}\n'
    )
    assert parse_uv_lock(content) == {"idna": "3.11"}
