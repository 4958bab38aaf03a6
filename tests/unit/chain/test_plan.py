"""From facts to a plan: versions, names, labels, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from semver import Version

from release.chain.plan import (
    Facts,
    Options,
    describe_changes,
    find_release_of_commit,
    make_gates_plan,
    make_plan,
)
from release.config import Config, parse
from release.errors import NothingToRelease, SourceError, UsageError, VersionTaken
from release.git.source import Commit
from release.git.tags import VersionTag
from release.versioning.conventional_commits import Bump, Message
from release.versioning.version import Request

COMMIT = Commit(id="a" * 40, tree="b" * 40, time="2026-11-21T20:00:00.000Z", subject="feat: greet")


def configured(**table: Any) -> Config:
    return parse({"tool": {"release": {"service": "api", "smoke": {"port": 8000}, **table}}})


def facts(**changes: Any) -> Facts:
    known: dict[str, Any] = {
        "commit": COMMIT,
        "changed": (),
        "tags": (),
        "last": None,
        "messages": ("feat: greet",),
        "released_versions": (),
        "release_of_commit": None,
        "remote_url": None,
    }
    known |= changes
    known["messages"] = tuple(Message(text=text) for text in known["messages"])
    return Facts(**known)


def tagged(text: str) -> VersionTag:
    return VersionTag(name=f"v{text}", version=Version.parse(text), commit="c" * 40)


SERVICE = configured().service("api")


def test_first_release_is_0_1_0() -> None:
    """Nothing was ever released: 0.1.0, whatever the commits say."""
    plan = make_plan(SERVICE, facts(messages=("chore: x",)), Options(), several=False)
    assert (str(plan.version), plan.tag) == ("0.1.0", "v0.1.0")


def test_names_come_from_repository_version_and_commit() -> None:
    """The candidate is named by the commit, the release by the version."""
    service = configured(registry="127.0.0.1:5000/acme").service("api")
    plan = make_plan(service, facts(), Options(), several=False)
    assert str(plan.candidate) == f"127.0.0.1:5000/acme/api:sha-{'a' * 40}"
    assert str(plan.released) == "127.0.0.1:5000/acme/api:0.1.0"


def test_without_a_registry_the_name_is_no_public_one() -> None:
    """`localhost/` keeps an engine from asking a public registry for the image."""
    plan = make_plan(SERVICE, facts(), Options(), several=False)
    assert str(plan.released) == "localhost/api:0.1.0"


def test_tags_of_several_services_carry_the_service() -> None:
    """`api/v0.1.0` where the repository has more than one service."""
    assert make_plan(SERVICE, facts(), Options(), several=True).tag == "api/v0.1.0"


def test_labels_hold_the_commit_and_its_time_not_the_clock() -> None:
    """Two builds of a commit have equal labels."""
    labels = make_plan(SERVICE, facts(remote_url="ssh://git/acme"), Options(), several=False).labels
    assert labels["org.opencontainers.image.created"] == COMMIT.time
    assert labels["org.opencontainers.image.revision"] == COMMIT.id


def test_configured_build_arguments_stand_beside_ours() -> None:
    """VERSION, COMMIT and SOURCE_DATE_EPOCH are the release's own."""
    service = configured(build={"args": {"FLAVOUR": "x"}}).service("api")
    arguments = make_plan(service, facts(), Options(), several=False).build_args
    assert (arguments["VERSION"], arguments["FLAVOUR"]) == ("0.1.0", "x")
    assert arguments["SOURCE_DATE_EPOCH"] == "315532800"


def test_changed_files_stop_a_release() -> None:
    """A release holds what is committed; the message names the files and the ways out."""
    with pytest.raises(SourceError) as caught:
        make_plan(SERVICE, facts(changed=("app.py",)), Options(), several=False)
    assert "1 file is changed and not committed (app.py)" in str(caught.value)
    assert "--allow-dirty" in caught.value.hint


def test_changed_files_are_left_out_when_asked() -> None:
    """--allow-dirty releases the commit as it is."""
    plan = make_plan(SERVICE, facts(changed=("app.py",)), Options(allow_dirty=True), several=False)
    assert plan.commit == COMMIT


def test_many_changed_files_are_counted() -> None:
    """Three are named, the rest counted."""
    assert describe_changes(("a", "b", "c", "d")) == "4 files are changed and not committed (a, b, c, …)"


def test_versions_in_the_ledger_count_as_existing() -> None:
    """A version whose tag somebody deleted is still taken."""
    with pytest.raises(VersionTaken, match=r"1\.3\.0 exists"):
        make_plan(
            SERVICE,
            facts(last=tagged("1.2.0"), tags=(tagged("1.2.0"),), released_versions=("1.3.0",)),
            Options(),
            several=False,
        )


def test_nothing_to_release_is_an_error() -> None:
    """Not a success with the old version."""
    with pytest.raises(NothingToRelease, match=r"since 1\.2\.0"):
        make_plan(
            SERVICE,
            facts(last=tagged("1.2.0"), tags=(tagged("1.2.0"),), messages=("docs: x",)),
            Options(),
            several=False,
        )


def test_gates_run_where_nothing_is_to_be_released() -> None:
    """A pull request without a release is built as the next patch's `-dev`."""
    known = facts(last=tagged("1.2.0"), tags=(tagged("1.2.0"),), messages=("docs: x",), changed=("app.py",))
    assert str(make_gates_plan(SERVICE, known, Options(), several=False).version) == "1.2.1-dev"


def test_what_is_not_due_takes_no_name_of_a_release() -> None:
    """A released commit is not due again, even where its git tag is missing: the name is its release's."""
    due = make_gates_plan(SERVICE, facts(), Options(), several=False)
    again = make_gates_plan(SERVICE, facts(release_of_commit=object()), Options(), several=False)
    assert str(due.candidate) == f"localhost/api:sha-{COMMIT.id}"
    assert str(again.candidate) == f"localhost/api:dev-{COMMIT.id}"
    assert again.version.prerelease == "dev"


def test_gates_keep_to_a_request() -> None:
    """An explicit request that cannot be met is an error for the gates too."""
    known = facts(last=tagged("1.2.0"), tags=(tagged("1.2.0"),), messages=())
    with pytest.raises(VersionTaken):
        make_gates_plan(SERVICE, known, Options(request=Request(version=Version(1, 2, 0))), several=False)


def test_a_bump_is_taken_as_asked() -> None:
    """--bump minor over what the commits say."""
    known = facts(last=tagged("1.2.0"), tags=(tagged("1.2.0"),), messages=("docs: x",))
    plan = make_plan(SERVICE, known, Options(request=Request(bump=Bump.MINOR)), several=False)
    assert str(plan.version) == "1.3.0"


def test_the_way_to_the_remote_changes_no_label() -> None:
    """A clone over ssh and one over https build the same image."""
    ssh, https = facts(remote_url="ssh://git/acme"), facts(remote_url="https://git/acme")
    plans = [make_plan(SERVICE, known, Options(), several=False) for known in (ssh, https)]
    assert plans[0].labels == plans[1].labels


def test_a_commit_without_a_release_is_not_released() -> None:
    """Nothing is found, nothing is refused."""
    assert find_release_of_commit(facts(), Options(request=Request(version=Version(2, 0, 0)))) is None


# tags in other forms


def loosely(**changes: Any) -> Facts:
    """Facts with a tag v4.2 that may be a version."""
    tags = (
        *changes.get("tags", ()),
        VersionTag(name="v4.2", version=Version.parse("4.2.0"), commit="c" * 40),
    )
    last = max(tags, key=lambda tag: tag.version)
    return facts(**changes, facts_with_loose_tags=facts(**(changes | {"tags": tags, "last": last})))


def test_a_version_that_such_a_tag_would_change_is_refused() -> None:
    """The sentence names the tag, and both ways to decide."""
    with pytest.raises(UsageError, match=r"the git tag 'v4\.2' does not count: .* called vMAJOR") as caught:
        make_plan(SERVICE, loosely(), Options(), several=False)
    assert 'tags = "loose"' in caught.value.hint
    assert "the next version is then 4.3.0" in caught.value.hint
    assert 'tags = "strict"' in caught.value.hint
    wanted = Options(request=Request.parse(version="4.2.0", bump=None))
    with pytest.raises(UsageError, match="v4"):
        make_plan(SERVICE, loosely(), wanted, several=False)


def test_a_tag_that_changes_nothing_does_not_matter() -> None:
    """Releases are above it already."""
    last = tagged("4.4.0")
    plan = make_plan(SERVICE, loosely(tags=(last,), last=last), Options(), several=False)
    assert str(plan.version) == "4.5.0"


def test_gates_run_beside_such_a_tag() -> None:
    """They release nothing."""
    assert str(make_gates_plan(SERVICE, loosely(), Options(), several=False).version) == "0.1.0"


def test_a_line_of_its_own_goes_on() -> None:
    """Other lines count only where a commit is part of them."""
    old, new = tagged("1.4.0"), tagged("2.1.0")
    known: dict[str, Any] = {"tags": (old, new), "last": old, "messages": ("fix: x",)}
    plan = make_plan(SERVICE, facts(**known, own_line=True), Options(), several=False)
    assert str(plan.version) == "1.4.1"
    with pytest.raises(VersionTaken):
        make_plan(SERVICE, facts(**known), Options(), several=False)
