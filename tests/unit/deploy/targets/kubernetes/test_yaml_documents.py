"""YAML as kubectl reads it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from release.deploy.targets.kubernetes.yaml_documents import load_all


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
        ("2024-01-01", "2024-01-01"),
        ("12:30:45", "12:30:45"),
        ("190:20:30.15", "190:20:30.15"),
        ("1.10.0", "1.10.0"),
        ("0644", 420),
        ("0x1F", 31),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000),
        ("yes", True),
        ("~", None),
        ('"12"', "12"),
    ],
)
def test_a_value_has_the_type_that_kubectl_gives_it(text: str, value: Any) -> None:
    """Times stay as they are written, and nothing is a number to the base of 60."""
    ((found,),) = load_all(f"[{text}]")
    assert (found, type(found)) in [(value, type(value)), (value, float)]


def test_each_key_is_text() -> None:
    """Also deep in a list. So the record can be sorted."""
    (found,) = load_all("a: [{no: 1, 8080: 2, 1.5: 3, ~: 4}]")
    assert found == {"a": [{"false": 1, "8080": 2, "1.5": 3, "null": 4}]}


def test_tags_of_python_are_refused() -> None:
    """A document makes no object but those of JSON."""
    with pytest.raises(yaml.YAMLError):
        load_all("!!python/object/apply:os.system [true]")
