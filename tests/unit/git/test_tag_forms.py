"""Version tags in other forms than MAJOR.MINOR.PATCH."""

from __future__ import annotations

import pytest

from release.git.tag_forms import loose_tags, loose_version, version_tag_patterns


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("4", "4.0.0"),
        ("4.2", "4.2.0"),
        ("04.02", "4.2.0"),
        ("2026.01.05", "2026.1.5"),
        ("1.2.3.4", "1.2.3"),
        ("4.2rc1", "4.2.0-rc.1"),
        ("4.2.0b2", "4.2.0-b.2"),
        ("4.2-rc.1", "4.2.0-rc.1"),
        ("1.0.dev3", "1.0.0-dev.3"),
        ("1.0.0.post1", "1.0.0"),
        ("1.4.2", "1.4.2"),
    ],
)
def test_a_version_is_read_loosely(text: str, version: str) -> None:
    """What is missing is zero; a pre-release stays below its version."""
    assert str(loose_version(text)) == version


@pytest.mark.parametrize("text", ["", "ault", "latest", "1.x", "-1"])
def test_other_text_is_no_version(text: str) -> None:
    """It is left out."""
    assert loose_version(text) is None


def test_tags_in_other_forms_are_listed_with_their_versions() -> None:
    """Ascending; exact ones, and those that name an exact one again, are left out."""
    names = ["v4.2", "v4", "4.3.0", "v4.4.0", "4.4", "v4.4", "vault", "20260101", "release-5"]
    found = loose_tags(dict.fromkeys(names, "c"), "v", "svc")
    assert [(tag.name, str(tag.version)) for tag in found] == [
        ("v4", "4.0.0"),
        ("v4.2", "4.2.0"),
        ("4.3.0", "4.3.0"),
    ]


def test_each_of_several_services_has_its_own() -> None:
    """The name of the service is part of the tag."""
    names = ["api/v4.2", "api/4.3", "web/v5.1", "v6.1", "api/v4.1.0"]
    found = loose_tags(dict.fromkeys(names, "c"), "api/v", "api")
    assert [tag.name for tag in found] == ["api/v4.2", "api/4.3"]
    assert {"api/v*", "api/[0-9]*", "api/release*"} <= {*version_tag_patterns("api/v", "api")}
    assert {"v*", "[0-9]*", "release*", "V*", "api*"} <= {*version_tag_patterns("v", "api")}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "release-4.2.0",
            "V4.2.0",
            "svc/v4.2.0",
            "svc-v4.2.0",
            "svc@4.2.0",
            "svc_4.2.0",
            "ver4.2",
            "version/4.2.0",
        ),
        *("v4.2.0-", "v4.2.0\u200b", "\ufeffv4.2.0", "Release_4.2.0", "rel.4.2"),
    ],
)
def test_forms_of_other_tools_are_seen(name: str) -> None:
    """Each looks like a version to the person who made it: to ignore it in silence would be wrong."""
    (found,) = loose_tags({name: "c"}, "v", "svc")
    assert (found.name, str(found.version)) == (name, "4.2.0")


@pytest.mark.parametrize(
    "name",
    ["other-v4.2.0", "other/v4.2.0", "svc-latest", "release-candidate", "v", "vault", "20260101", "svc-5"],
)
def test_other_tags_are_left_alone(name: str) -> None:
    """Those of another service, words, and plain numbers, which may count anything."""
    assert loose_tags({name: "c"}, "v", "svc") == ()
