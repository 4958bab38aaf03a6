"""Run settings: units, ports, mounts, and that a recorded value reads back as itself."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from release.runspec import Mount, Probe, ProcessSpec, Publish, RunSpec
from release.scalars import (
    AbsolutePath,
    Matching,
    Name,
    RequestPath,
    VariableName,
    duration_text,
    parse_cpus,
    parse_duration,
    parse_memory,
    parse_size,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512b", 512),
        ("1k", 1024),
        ("256m", 256 * 1024**2),
        ("256MB", 256 * 1024**2),
        ("1 g", 1024**3),
        (" 2g ", 2 * 1024**3),
    ],
)
def test_a_size_is_a_number_of_bytes(text: str, size: int) -> None:
    """Units count in 1024, as the engine's do."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "m", "256q", "-1m", "1.5g", "1t", "٣m", "256 mib"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    """The message shows how a size is written."""
    with pytest.raises(ValueError, match='write a number and b, k, m or g, as "256m"'):
        parse_size(text)


@pytest.mark.parametrize("value", ["5m", "1", 6 * 1024**2 - 1])
def test_less_memory_than_the_engine_accepts_is_refused(value: object) -> None:
    """The limit is known here, not found out by a failing deployment."""
    with pytest.raises(ValueError, match='the engine asks for at least "6m"'):
        parse_memory(value)


def test_the_least_memory_is_accepted() -> None:
    """Six mebibytes, as text or as a number of bytes."""
    assert parse_memory("6m") == parse_memory(6 * 1024**2) == 6 * 1024**2


@pytest.mark.parametrize(
    ("text", "duration"),
    [("250ms", 250), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000), ("5 s", 5000)],
)
def test_a_duration_is_a_number_of_milliseconds(text: str, duration: int) -> None:
    """Five units, from ms to d."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize("value", ["36501d", "99999999999999999999999d", f"{'9' * 5000}s"])
def test_a_duration_that_no_calendar_holds_is_refused(value: str) -> None:
    """A freeze until then would be no date."""
    with pytest.raises(ValueError, match="is too long: at most 36500d"):
        parse_duration(value)


@pytest.mark.parametrize("value", [30, 1.5, True, None, "", "30", "s", "-1s", "1.5s", "1w", "30S"])
def test_a_duration_without_a_known_unit_is_refused(value: object) -> None:
    """The unit of a bare number would be a guess."""
    with pytest.raises(ValueError, match=r"is not a duration: write a number and ms, s, m, h or d"):
        parse_duration(value)


@pytest.mark.parametrize(("value", "thousandths"), [(0.5, 500), (2, 2000), (0.01, 10), (1.2345, 1234)])
def test_processors_are_counted_in_thousandths(value: float, thousandths: int) -> None:
    """Records hold whole numbers only."""
    assert parse_cpus(value) == thousandths


@pytest.mark.parametrize("value", ["2", True, None, 0, -1, 0.001, float("nan"), float("inf")])
def test_what_is_no_number_of_processors_is_refused(value: object) -> None:
    """Text, truth values, nothing, too little and too much."""
    with pytest.raises(ValueError, match="is not a number of processors"):
        parse_cpus(value)


@given(st.integers(min_value=0, max_value=2**50))
def test_a_size_written_as_text_reads_back(size: int) -> None:
    """`size_text` is the inverse of `parse_size`."""
    assert parse_size(size_text(size)) == size


@given(st.integers(min_value=0, max_value=36_500 * 86_400_000))
def test_a_duration_written_as_text_reads_back(duration: int) -> None:
    """`duration_text` is the inverse of `parse_duration`."""
    assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize(("duration", "text"), [(30_000, "30s"), (90_000, "90s"), (60_000, "1m"), (1, "1ms")])
def test_a_duration_is_written_in_the_largest_unit_that_divides_it(duration: int, text: str) -> None:
    """So that a default reads as a person would write it."""
    assert duration_text(duration) == text


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("8080:8000", "0.0.0.0:8080:8000"),
        ("127.0.0.1:8080:8000", "127.0.0.1:8080:8000"),
        ("[::1]:8080:8000", "[::1]:8080:8000"),
        ("53:5353/udp", "0.0.0.0:53:5353/udp"),
        ("80:80/tcp", "0.0.0.0:80:80"),
        ("1:65535", "0.0.0.0:1:65535"),
    ],
)
def test_a_published_port_prints_in_full(text: str, printed: str) -> None:
    """The engine's default address is made visible."""
    assert str(Publish.model_validate(text)) == printed


@given(
    st.sampled_from(["10.0.0.1", "127.0.0.1", "::1", "fe80::1"]),
    st.integers(1, 65535),
    st.integers(1, 65535),
    st.sampled_from(["tcp", "udp"]),
)
def test_a_printed_port_parses_to_itself(address: str, host: int, container: int, protocol: str) -> None:
    """Printing loses nothing."""
    port = Publish.model_validate(
        {"address": address, "host": host, "container": container, "protocol": protocol}
    )
    assert Publish.model_validate(str(port)) == port


@pytest.mark.parametrize(
    "value",
    [
        "8000",
        "",
        "8080:",
        ":8000",
        "a:b",
        "8080:8000/sctp",
        "host:1:2",
        "1:2:3:4",
        "999.1.1.1:1:2",
        8000,
        None,
        "0:8000",
        "8080:65536",
        "99999:1",
        "٣:1",
        "8080:8000\n",
    ],
)
def test_what_is_not_a_published_port_is_refused(value: object) -> None:
    """Shape, address and range are checked."""
    with pytest.raises(ValidationError):
        Publish.model_validate(value)


@pytest.mark.parametrize(
    ("text", "bind", "read_only", "printed"),
    [
        ("data:/var/lib/api", False, False, "data:/var/lib/api"),
        ("/etc/ssl:/etc/ssl:ro", True, True, "/etc/ssl:/etc/ssl:ro"),
        ("data:/data:rw", False, False, "data:/data"),
    ],
)
def test_a_mount_is_a_volume_or_a_folder(text: str, bind: bool, read_only: bool, printed: str) -> None:
    """A source that begins with / is a folder of the machine."""
    mount = Mount.model_validate(text)
    assert (mount.is_bind, mount.read_only, str(mount)) == (bind, read_only, printed)


@pytest.mark.parametrize(
    "value", ["data", "data:", ":/x", "data:x", "./x:/x", "data:/x:rx", "a:/x,y", 3, None]
)
def test_what_is_not_a_mount_is_refused(value: object) -> None:
    """A relative folder would depend on where the command is run."""
    with pytest.raises(ValidationError):
        Mount.model_validate(value)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (VariableName, "_A1", ["", "1A", "A-B", "A=B", "A\n", "Ä"]),
        (AbsolutePath, "/tmp", ["", "tmp", "/a:b", "/a,b", "/a\x00"]),
        (Name, "net_1.x-y", ["", "-x", ".x", "a b", "a/b", "x\n"]),
        (RequestPath, "/healthz?deep=1", ["", "healthz", "/a b", "/ä", "/\n"]),
    ],
)
def test_text_follows_its_rule_from_end_to_end(kind: type, good: str, bad: list[str]) -> None:
    """A newline at the end is not overlooked; the error has a type of its own and carries no text."""
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    assert adapter.validate_python(good) == good
    for text in bad:
        with pytest.raises(ValidationError) as caught:
            adapter.validate_python(text)
        (error,) = caught.value.errors()
        assert error["type"] == "not_matching"
        assert set(error["ctx"]) == {"words"}


def test_a_rule_for_text_shows_in_json_schema() -> None:
    """With its words for people and its pattern for editors."""
    rule = Matching("[a-c]+", "some of a, b and c")
    schema = TypeAdapter(Annotated[str, rule]).json_schema()
    assert (schema["pattern"], schema["description"]) == (f"^(?:{rule.pattern})$", rule.words)


FULL = RunSpec(
    command=("gunicorn", "app:app"),
    env={"LOG_LEVEL": "info"},
    secrets={"DATABASE_URL": "0123abcd:0123456789abcdef"},
    publish=(Publish(host=8080, container=8000), Publish(address="::1", host=1, container=2, protocol="udp")),
    networks=("front", "back"),
    volumes=(Mount(source="data", target="/data"), Mount(source="/etc/ssl", target="/ssl", read_only=True)),
    memory=256 * 1024**2,
    cpus=500,
    pids=64,
    user="10001:10001",
    read_only=True,
    tmpfs=("/tmp", "/run"),
    cap_add=("NET_BIND_SERVICE",),
    cap_drop=("ALL",),
    restart="always",
    stop_grace=8000,
    labels={"team": "core"},
    probe=Probe(port=8000, path="/healthz", timeout=30_000),
)


@pytest.mark.parametrize("spec", [FULL, RunSpec()], ids=["full", "empty"])
def test_recorded_run_settings_read_back_as_they_were(spec: RunSpec) -> None:
    """Through JSON, as the ledger keeps them: a rollback puts back exactly these."""
    recorded = json.dumps(spec.model_dump(mode="json", exclude_none=True))
    assert RunSpec.model_validate(json.loads(recorded)) == spec


def test_recorded_run_settings_hold_whole_numbers_only() -> None:
    """Canonical JSON has no floats."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is a float")

    json.loads(FULL.model_dump_json(), parse_float=refuse)


@pytest.mark.parametrize("text", ['{"memory": "256"}', '{"pids": true}', '{"read_only": "yes"}'])
def test_recorded_run_settings_of_a_wrong_type_are_refused(text: str) -> None:
    """Nothing is coerced."""
    with pytest.raises(ValidationError):
        RunSpec.model_validate(json.loads(text))


def test_settings_of_a_later_minor_version_are_kept() -> None:
    """What this version does not know is there when the record is written again."""
    later = {"memory": 256, "gpus": "all", "probe": {"port": 8000, "method": "HEAD"}}
    kept = RunSpec.model_validate(later).model_dump(mode="json", exclude_unset=True)
    assert kept == later


def test_run_settings_cannot_be_changed() -> None:
    """What crosses a stage is frozen."""
    with pytest.raises(ValidationError, match="frozen"):
        RunSpec().user = "0"  # type: ignore[misc]


def several(**changes: Any) -> RunSpec:
    """Two processes, the second exclusive."""
    web = ProcessSpec(name="web", settings=RunSpec(replicas=2, secrets={"TOKEN": "a"}))
    beat = ProcessSpec(name="beat", settings=RunSpec(), after=("web",), exclusive=True)
    return RunSpec(**{"processes": (web, beat), **changes})


def test_one_process_is_told_without_a_name() -> None:
    """A record without `processes` is as it always was."""
    only = RunSpec(replicas=3)
    assert (only.every, only.containers, only.exclusive) == ({"": only}, 3, frozenset())
    assert "processes" not in only.model_dump(mode="json", exclude_none=True)


def test_several_processes_are_told_in_their_order() -> None:
    """Written and read again they are the same."""
    spec = several()
    assert (list(spec.every), spec.containers, spec.exclusive) == (["web", "beat"], 3, frozenset({"beat"}))
    data = spec.model_dump(mode="json", exclude_none=True)
    assert RunSpec.model_validate_json(json.dumps(data)) == spec


def test_a_change_reaches_each_process_and_secrets_all_settings() -> None:
    """What the environment itself has stays for commands that run beside."""
    spec = several().mapped(lambda name, one: one.model_copy(update={"user": name}))
    assert [one.user for one in spec.every.values()] == ["web", "beat"]
    assert spec.user is None
    sealed = several().with_secrets({"TOKEN": "b"})
    assert [one.secrets for one in (sealed, *sealed.every.values())] == [{"TOKEN": "b"}] * 3
    assert RunSpec().with_secrets({"TOKEN": "b"}).secrets == {"TOKEN": "b"}


def test_settings_of_a_process_that_a_later_version_wrote_are_named() -> None:
    """A rollback then refuses, as it does for those of one process."""
    later = {"processes": [{"name": "web", "colour": "red", "settings": {"gpu": 1}}]}
    assert RunSpec.model_validate(later).unknown == ["processes.web.colour", "processes.web.gpu"]


def test_processes_are_one_level_and_have_names_of_their_own() -> None:
    """Anything else would be two answers to one question."""
    nested = ProcessSpec(name="web", settings=several())
    with pytest.raises(ValidationError, match="no processes"):
        RunSpec(processes=(nested,))
    with pytest.raises(ValidationError, match="a name of its own"):
        several(processes=(several().processes or ()) * 2)
