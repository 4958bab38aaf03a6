"""What the doctor says of an engine: its clock and its disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from release.deploy import doctor
from release.deploy.doctor import clock, disk
from release.errors import EngineError
from tests.unit.deploy.fakes import INFO, FakeEngine


@pytest.mark.parametrize(
    ("ahead", "said"), [(0, "0.0 s behind"), (1500, "1.5 s ahead of"), (-1500, "1.5 s behind")]
)
def test_clocks_that_agree_are_well(ahead: int, said: str) -> None:
    """To within some seconds, in either direction."""
    assert said in clock(FakeEngine(info=replace(INFO, ahead_ms=ahead)))


@pytest.mark.parametrize("ahead", [60_000, -60_000])
def test_clocks_that_are_apart_are_not(ahead: int) -> None:
    """With what sets them."""
    with pytest.raises(EngineError, match="60 s") as caught:
        clock(FakeEngine(info=replace(INFO, ahead_ms=ahead)))
    assert "NTP" in caught.value.hint


def test_room_on_this_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And too little of it is not well."""
    engine = FakeEngine(info=replace(INFO, data_root=str(tmp_path)))
    assert f"are free below {tmp_path}" in disk(engine)
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(EngineError) as caught:
        disk(engine)
    assert "invoke prune" in caught.value.hint


def test_the_disk_of_another_machine_is_not_known() -> None:
    """The same folder here is another one."""
    engine = FakeEngine(host="ssh://deploy@far.example", info=replace(INFO, data_root="/"))
    assert "another machine" in disk(engine)
