"""Which version a release has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from release.errors import NothingToRelease, UsageError, VersionTaken
from release.versioning.commit_evaluation import evaluate_messages
from release.versioning.conventional_commits import Message
from release.versioning.version import Request, next_version, parse_version, tag_prefix, versions_in


def following(
    *messages: str,
    last: str | None = None,
    existing: tuple[str, ...] = (),
    version: str = "",
    bump: str = "",
    own_line: bool = False,
) -> str:
    """The next version, as text."""
    found = next_version(
        request=Request.parse(version=version or None, bump=bump or None),
        last=Version.parse(last) if last else None,
        existing=[Version.parse(text) for text in (*existing, *([last] if last else []))],
        reading=evaluate_messages([Message(text=text) for text in messages]),
        own_line=own_line,
    )
    return str(found)


# what is written on the command line


@pytest.mark.parametrize("text", ["1.4.2", "v1.4.2", "0.0.1", "2.0.0-rc.1", "10.20.30-alpha-x.7"])
def test_a_version_is_read_with_or_without_a_v(text: str) -> None:
    """It prints back without."""
    assert str(parse_version(text)) == text.removeprefix("v")


@pytest.mark.parametrize(
    "text", ["1.4", "1", "", "latest", "01.2.3", "1.2.3.4", "vv1.2.3", "1.2.3-", "1.2.3-a..b", "../1.2.3"]
)
def test_what_is_not_semver_is_refused(text: str) -> None:
    """The message shows the form."""
    with pytest.raises(UsageError, match="not a semantic version") as caught:
        parse_version(text)
    assert "MAJOR.MINOR.PATCH" in caught.value.hint


def test_build_metadata_is_refused() -> None:
    """A registry tag cannot hold a plus sign; the hint is the version without it."""
    with pytest.raises(UsageError, match="build metadata") as caught:
        parse_version("1.2.3-rc.1+build.5")
    assert caught.value.hint == "use 1.2.3-rc.1"


@pytest.mark.parametrize("text", [f"1.2.3-{'a' * 130}", "1.2.3-x.lock"])
def test_a_version_that_no_tag_can_hold_is_refused(text: str) -> None:
    """Before anything is built."""
    with pytest.raises(UsageError, match="tag") as caught:
        parse_version(text)
    assert caught.value.hint == "use 1.2.3"


def test_a_version_and_a_bump_together_are_refused() -> None:
    """One of them decides."""
    with pytest.raises(UsageError, match=r"both --version 1\.0\.0 and --bump minor"):
        Request.parse(version="1.0.0", bump="minor")


@pytest.mark.parametrize("text", ["Minor", "none", "", "huge"])
def test_an_unknown_bump_is_refused(text: str) -> None:
    """The three that exist are listed."""
    with pytest.raises(UsageError, match="not one of patch, minor, major"):
        Request.parse(version=None, bump=text)


# the next version


def test_the_first_release_is_0_1_0() -> None:
    """Whatever the commits say."""
    assert following("chore: start") == "0.1.0"


@pytest.mark.parametrize(
    ("last", "message", "expected"),
    [
        ("1.4.2", "fix: x", "1.4.3"),
        ("1.4.2", "feat: x", "1.5.0"),
        ("1.4.2", "feat!: x", "2.0.0"),
        ("0.4.2", "fix: x", "0.4.3"),
        ("0.4.2", "feat: x", "0.5.0"),
        ("0.4.2", "feat!: x", "0.5.0"),
        ("2.0.0-rc.1", "fix: x", "2.0.0"),
        ("2.0.0-rc.1", "feat!: x", "2.0.0"),
        ("1.5.0-rc.1", "feat: x", "1.5.0"),
        ("1.5.0-rc.1", "feat!: x", "2.0.0"),
        ("1.4.3-rc.1", "fix: x", "1.4.3"),
        ("1.4.3-rc.1", "feat: x", "1.5.0"),
    ],
)
def test_the_commits_since_the_last_version_decide(last: str, message: str, expected: str) -> None:
    """A pre-release becomes final, unless more changed than it announces."""
    assert following(message, last=last) == expected


def test_the_largest_bump_wins() -> None:
    """In any order."""
    assert following("fix: a", "feat: b", "chore: c", last="1.0.0") == "1.1.0"


def test_no_commit_that_matters_is_nothing_to_release() -> None:
    """It is an error, and says how to release all the same."""
    with pytest.raises(NothingToRelease, match=r"no commit since 1\.0\.0") as caught:
        following("chore: a", "words", last="1.0.0")
    assert "`nox -s release -- --bump patch`" in caught.value.hint


@pytest.mark.parametrize(
    ("last", "bump", "expected"),
    [
        ("1.4.2", "patch", "1.4.3"),
        ("1.4.2", "minor", "1.5.0"),
        ("1.4.2", "major", "2.0.0"),
        ("0.4.2", "major", "1.0.0"),
        ("0.4.2", "minor", "0.5.0"),
        ("1.0.0-rc.1", "major", "1.0.0"),
        ("1.5.0-rc.1", "major", "2.0.0"),
        (None, "patch", "0.0.1"),
        (None, "minor", "0.1.0"),
        (None, "major", "1.0.0"),
    ],
)
def test_a_bump_that_is_asked_for_is_done(last: str | None, bump: str, expected: str) -> None:
    """Also to 1.0.0, and without reading messages."""
    assert following(last=last, bump=bump) == expected


def test_a_version_that_is_asked_for_is_taken_as_it_is() -> None:
    """If it is above all that exist."""
    assert following(last="1.4.2", version="3.0.0-rc.1") == "3.0.0-rc.1"


def test_a_version_that_exists_is_refused() -> None:
    """A released version is never made again."""
    with pytest.raises(VersionTaken, match="exists with other content") as caught:
        following(existing=("1.4.2", "1.5.0"), version="1.4.2")
    assert "`invoke show 1.4.2`" in caught.value.hint
    assert "--version 1.5.1 or higher" in caught.value.hint


def test_a_version_below_its_own_line_is_refused() -> None:
    """The hint is the next one of the line."""
    with pytest.raises(VersionTaken, match=r"1\.4\.5 exists") as caught:
        following(existing=("1.4.5", "2.0.0"), version="1.4.3")
    assert caught.value.hint.startswith("use --version 1.4.6 or higher")


def test_after_a_prerelease_the_final_version_is_free() -> None:
    """An earlier pre-release is not, and the hint says the lowest that is."""
    assert following(existing=("2.0.0-rc.2",), version="2.0.0") == "2.0.0"
    with pytest.raises(VersionTaken) as caught:
        following(existing=("2.0.0-rc.2",), version="2.0.0-rc.1")
    assert caught.value.hint.startswith("use --version 2.0.0 or higher")


def test_maintenance_goes_on_in_a_line_that_exists() -> None:
    """A new line, though, is above everything."""
    assert following(existing=("1.4.5", "2.0.0"), version="1.4.6") == "1.4.6"
    with pytest.raises(VersionTaken):
        following(existing=("1.4.5", "2.0.0"), version="1.5.0")


def test_a_computed_version_is_never_at_or_below_one_that_exists() -> None:
    """Tags on branches that the commit does not contain count; the hint has both ways out."""
    with pytest.raises(VersionTaken, match=r"2\.0\.0 exists on a branch") as caught:
        following("fix: x", last="1.4.5", existing=("2.0.0",))
    assert caught.value.hint == "give --version 2.0.1 or higher, or --version 1.4.6 to maintain 1.4"
    with pytest.raises(VersionTaken) as caught:
        following("feat: x", last="1.4.5", existing=("2.0.0-rc.1",))
    assert caught.value.hint == "give --version 2.0.0 or higher"


@pytest.mark.parametrize(
    ("last", "message", "existing", "expected"),
    [
        ("1.4.0", "fix: x", ("2.1.0",), "1.4.1"),
        ("1.4.0", "feat: x", ("2.1.0",), "1.5.0"),
        ("1.4.0", "fix: x", ("1.5.0", "1.6.2", "2.1.0"), "1.4.1"),
        ("1.4.0-rc.1", "fix: x", ("2.1.0",), "1.4.0"),
        ("0.4.0", "feat!: x", ("1.0.0",), "0.5.0"),
        ("1.4.0", "fix: x", ("2.0.0-rc.1",), "1.4.1"),
    ],
)
def test_a_line_of_its_own_goes_on_by_itself(
    last: str, message: str, existing: tuple[str, ...], expected: str
) -> None:
    """A branch that maintains an old version needs no --version."""
    assert following(message, last=last, existing=existing, own_line=True) == expected


@pytest.mark.parametrize(
    ("message", "existing", "found", "hint"),
    [
        ("fix: x", ("1.4.1", "2.1.0"), "1.4.1 exists", "give --version 1.4.2 or higher"),
        ("fix: x", ("1.4.3", "2.1.0"), "1.4.3 exists", "give --version 1.4.4 or higher"),
        ("feat: x", ("1.5.0", "2.1.0"), "1.5.0 exists", "give --version 1.5.1 or higher"),
        ("feat: x", ("1.6.0", "2.1.0"), "1.6.0 exists", "give --version 1.6.1 or higher"),
        ("feat!: x", ("2.1.0",), "2.1.0 exists, and these commits hold a breaking change", "--bump minor"),
    ],
)
def test_an_old_line_never_takes_a_version_that_exists_or_sorts_below_one(
    message: str, existing: tuple[str, ...], found: str, hint: str
) -> None:
    """The hint has the next one that is free."""
    with pytest.raises(VersionTaken, match=found) as caught:
        following(message, last="1.4.0", existing=existing, own_line=True)
    assert hint in caught.value.hint


def test_an_old_line_takes_a_bump_and_a_version_that_is_asked_for() -> None:
    """Within the line."""
    assert following(last="1.4.0", existing=("2.1.0",), bump="minor", own_line=True) == "1.5.0"
    assert following(last="1.4.0", existing=("2.1.0",), version="1.5.0", own_line=True) == "1.5.0"
    with pytest.raises(VersionTaken):
        following(last="1.4.0", existing=("2.1.0",), bump="major", own_line=True)
    with pytest.raises(VersionTaken):
        following(last="1.4.0", existing=("2.1.0",), version="1.3.9", own_line=True)


def test_nothing_to_release_names_the_line_that_nearly_was_something() -> None:
    """And the commits that cancel out."""
    with pytest.raises(NothingToRelease, match=r"nearly one: `feat:x` \(write `feat: x` for a minor"):
        following("feat:x", last="1.0.0")
    with pytest.raises(NothingToRelease, match="2 unreleased commits and reverts cancel out"):
        following('Revert "feat: bad"', "feat: bad", last="1.0.0")


versions = st.builds(Version, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
messages = st.lists(st.sampled_from(("feat: a", "fix: b", "feat!: c", "chore: d")), max_size=3)


@given(st.none() | versions, st.lists(versions, max_size=4), messages)
def test_whatever_happened_the_next_version_is_new_and_the_highest(
    last: Version | None, existing: list[Version], said: list[str]
) -> None:
    """Or there is none, and an error says why."""
    known = [*existing, *([last] if last is not None else [])]
    try:
        reading = evaluate_messages([Message(text=text) for text in said])
        found = next_version(request=Request(), last=last, existing=known, reading=reading)
    except (NothingToRelease, VersionTaken):
        return
    assert all(found > version for version in known)


@given(versions, st.lists(versions, max_size=4), messages)
def test_a_line_of_its_own_never_takes_a_version_at_or_below_one_of_the_line(
    last: Version, existing: list[Version], said: list[str]
) -> None:
    """Whatever exists on other lines."""
    reading, known = evaluate_messages([Message(text=text) for text in said]), [*existing, last]
    try:
        found = next_version(request=Request(), last=last, existing=known, reading=reading, own_line=True)
    except (NothingToRelease, VersionTaken):
        return
    line = [each for each in known if (each.major, each.minor) == (found.major, found.minor)]
    assert found > last
    assert found not in known
    assert all(found > each for each in line)


# tags


def test_tags_carry_the_service_where_there_are_several() -> None:
    """`v1.4.2` for one, `api/v1.4.2` for one of several."""
    assert (tag_prefix("api", several=False), tag_prefix("api", several=True)) == ("v", "api/v")


def test_tags_of_other_shapes_are_no_versions() -> None:
    """Ascending by semver, not by text."""
    tags = ["v1.10.0", "v1.9.0", "v1.10.0-rc.1", "vault", "v1", "api/v3.0.0", "1.0.0", "v01.0.0"]
    assert [str(version) for version in versions_in(tags, "v")] == ["1.9.0", "1.10.0-rc.1", "1.10.0"]
    assert [str(version) for version in versions_in(tags, "api/v")] == ["3.0.0"]
