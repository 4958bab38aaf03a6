"""TOML within limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release import config
from release.errors import ConfigError
from release.parsing.tomltext import DEEPEST, LARGEST, read

TEXTS = {
    "large": b"#" * (LARGEST + 1),
    "not UTF-8": b'a = "\xff"',
    "UTF-16": "a = 1".encode("utf-16"),
    "deep arrays": b"a = " + b"[" * 100_000,
    "deep and closed": b"a = " + b"[" * 400 + b"]" * 400,
    "deep tables": b"a = " + b"{b = " * 5_000,
    "deep names": b"a" + b".a" * 5_000 + b" = 1",
    "a long number": b"a = " + b"9" * 5_000,
    "a month": b"a = 2020-99-99",
    "half": b"a = ",
    "zero": b"\x00",
    "half a character": rb'a = "\ud800"',
}


@pytest.mark.parametrize("content", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.attack(
    "A pyproject.toml is huge, deep, not UTF-8, or holds numbers without an end",
    "TOML is read within limits; the error names the file and what is wrong",
)
def test_a_text_beyond_the_limits_is_a_problem(content: bytes, tmp_path: Path) -> None:
    """A ValueError of one sentence, and a ConfigError from a file."""
    with pytest.raises(ValueError, match=r"not TOML|limit|nested") as caught:
        read(content)
    assert len(str(caught.value)) < 400
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(ConfigError):
        config.load(tmp_path)


@given(st.binary(max_size=100) | st.text(alphabet="a.=[]{}\"'\\\n#0-9e:TZ ", max_size=60).map(str.encode))
def test_any_text_is_read_or_refused(content: bytes) -> None:
    """Nothing but a ConfigError comes out of a configuration."""
    try:
        config.read({"pyproject.toml": content}.get)
    except ConfigError:
        return


def test_the_depth_is_that_of_the_values() -> None:
    """As deep as the limit is taken."""
    assert read(b"a = " + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", "9223372036854775808"])
@pytest.mark.attack("A setting is NaN, infinite or larger than 64 bits", "The key is named as a problem")
def test_a_number_that_is_none_is_a_problem(number: str) -> None:
    """At its path."""
    text = f'[tool.release]\nservice = "a"\n[tool.release.environments.p]\ncpus = {number}\n'
    with pytest.raises(ConfigError, match=r"environments\.p\.cpus"):
        config.read({"pyproject.toml": text.encode()}.get)
