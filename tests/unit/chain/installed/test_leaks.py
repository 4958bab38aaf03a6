"""Secrets in the files of a layer."""

from __future__ import annotations

import base64

import pytest

from release.chain.installed.leaks import Needles
from release.chain.installed.scanning import scan_layer_archive
from release.secrets.redact import Redacted
from tests.unit.chain.installed.layers import layer, package

VALUES = {"token": Redacted("tok-123456789"), "url": Redacted("postgres://app:s3cret-pass@db/app")}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x = 'tok-123456789'", "token"),
        (base64.b64encode(b"tok-123456789").decode(), "token"),
        ("password: s3cret-pass", "url"),
        ("tok-12345678", ""),
    ],
)
def test_a_value_is_found_in_any_file(text: str, name: str) -> None:
    """As it is or in base64; of an address, the password alone too."""
    files = {**package("six", "1"), "app/settings": text}
    for compressed in (False, True):
        found = scan_layer_archive(layer(files, compressed=compressed), Needles(VALUES))
        assert found.leaks == ((("app/settings", name),) if name else ())
        assert any("six" in path for path in found.texts)


def test_short_values_are_not_looked_for() -> None:
    """They are words that any layer has."""
    assert not Needles({"a": Redacted("true"), "b": Redacted("")})
    assert scan_layer_archive(layer({"a": "true"}), Needles({"a": Redacted("true")})).leaks == ()


def test_other_values_have_another_identity() -> None:
    """So a layer is searched again after a change of a secret."""
    one, two = (Needles({"a": Redacted(text)}) for text in ("12345678", "12345679"))
    assert one.identity != two.identity
    assert one.names == two.names == ["a"]
