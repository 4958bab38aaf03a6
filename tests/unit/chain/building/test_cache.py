"""Which build cache is read and written, by whom."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from release.chain.building.cache import BuildCache, cache_environment, import_options, unread_cache_message
from release.chain.building.export import _export_failure_message
from release.chain.building.progress import parse_plain_progress
from release.chain.stage_context import StageContext
from release.errors import ConfigError
from tests.unit.chain.test_plan import configured

CI = {"CI": "true"}
GITHUB = {"ACTIONS_RUNTIME_TOKEN": "t", "ACTIONS_RESULTS_URL": "https://results.example", "OTHER": "no"}


def service(**table: Any) -> Any:
    return configured(**table).service("api")


def ctx(purpose: str, environ: dict[str, str], *, no_cache: bool = False, **table: Any) -> StageContext:
    plan = SimpleNamespace(service=service(**table), no_cache=no_cache)
    return cast(
        "StageContext", SimpleNamespace(plan=plan, environ=environ, purpose=purpose, reusable=frozenset())
    )


def test_in_ci_with_a_registry_it_is_a_tag_beside_the_image() -> None:
    """And nowhere else without being asked for."""
    assert BuildCache.from_settings(service(registry="registry.example/acme"), CI) == BuildCache(
        kind="registry", location="registry.example/acme/api:cache"
    )
    for environ in ({}, {"CI": "false"}, {"CI": ""}):
        assert BuildCache.from_settings(service(registry="registry.example/acme"), environ) is None
    assert BuildCache.from_settings(service(), CI) is None
    assert (
        BuildCache.from_settings(service(registry="registry.example/acme", build={"cache": "off"}), CI)
        is None
    )


@pytest.mark.parametrize(
    "place", ["cache", "acme/api", "./cache", "r.example/api@sha256:" + "0" * 64, "https://r.example/a:b"]
)
def test_a_place_that_is_none_is_refused(place: str) -> None:
    """The message shows what may be written."""
    with pytest.raises(ConfigError, match=r"registry\.example/acme/api:cache"):
        service(build={"cache": place})


def test_a_release_reads_nothing_that_a_check_wrote() -> None:
    """A pull request could put a layer of its own into a release."""
    place = {"cache": "r.example/acme/api:c"}
    own = ("--cache-from", "type=registry,ref=r.example/acme/api:c")
    assert import_options(ctx("release", {}, build=place)) == own
    assert import_options(ctx("check", {}, build=place)) == (
        *own,
        "--cache-from",
        "type=registry,ref=r.example/acme/api:c-check",
    )
    assert import_options(ctx("release", {}, no_cache=True, build=place)) == ()


def test_a_folder_is_read_if_it_is_there(tmp_path: Path) -> None:
    """BuildKit ends a build whose folder is missing; each service has one of its own."""
    asked = ctx("release", {}, build={"cache": str(tmp_path)})
    assert import_options(asked) == ()
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "index.json").touch()
    assert import_options(asked) == ("--cache-from", f"type=local,src={tmp_path}/api")


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """The older one stays until the new one is written, and nothing of it stays behind."""
    cache = BuildCache(kind="local", location=str(tmp_path / "api"))
    for content in ("first", "second"):
        cache.staging_folder.mkdir()
        (cache.staging_folder / content).touch()
        cache.replace_cache_folder()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["api", "api/second"]


def test_githubs_cache_needs_githubs_variables() -> None:
    """Without them it is not used, and the reason names them; with them buildx gets these alone."""
    found = BuildCache.from_settings(service(build={"cache": "github"}), {})
    assert found is not None
    assert "ACTIONS_RUNTIME_TOKEN" in found.why_unusable({"ACTIONS_RESULTS_URL": "x"})
    assert found.why_unusable(GITHUB) == ""
    without, given = (ctx("release", environ, build={"cache": "github"}) for environ in ({}, GITHUB))
    assert import_options(without) == ()
    assert import_options(given) == ("--cache-from", "type=gha,scope=api")
    assert cache_environment(without) == {}
    assert set(cache_environment(given)) == {"ACTIONS_RUNTIME_TOKEN", "ACTIONS_RESULTS_URL"}


def test_all_stages_are_written_with_the_compression_of_images() -> None:
    """Another compression would give a later image other layers, and another digest."""
    word = BuildCache(kind="registry", location="r.example/a:c").export_option
    assert "mode=max" in word
    assert "compression" not in word


def test_a_cache_that_was_not_read_is_told_in_a_line() -> None:
    """With BuildKit's reason. The cache of checks is often not there."""
    place = "r.example/a:cache"
    read = ctx("check", {}, build={"cache": place})
    refused = f"#4 importing cache manifest from {place}\n#4 ERROR: dial tcp: connection refused\n"
    line = unread_cache_message(read, parse_plain_progress(refused))
    assert f"the build cache {place} was not read: dial tcp: connection refused" in line
    assert "this login may read there" in line
    assert unread_cache_message(read, parse_plain_progress(refused.replace(place, f"{place}-check"))) == ""
    assert (
        unread_cache_message(
            read, parse_plain_progress(f"#4 importing cache manifest from {place}\n#4 DONE 0.1s\n")
        )
        == ""
    )
    assert (
        unread_cache_message(
            ctx("check", {}, no_cache=True, build={"cache": place}), parse_plain_progress(refused)
        )
        == ""
    )


@pytest.mark.parametrize(
    ("kind", "place", "words"),
    [
        ("registry", "r.example/a:cache", "check its address and the network, and check that this login may"),
        ("local", "/var/cache/api", "check that this user may write the folder /var/cache"),
        ("gha", "api", "check the variables of GitHub's cache"),
    ],
)
def test_the_hint_of_a_failed_write_fits_the_place(kind: Any, place: str, words: str) -> None:
    """A folder has no login."""
    text = _export_failure_message(
        BuildCache(kind=kind, location=place), OSError(2, "No such file or directory")
    )
    assert words in text
    assert ("login" in text) == (kind == "registry")
