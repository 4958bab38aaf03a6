"""`nox -s release -- --changed`: each service that changed is released, and each result is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.images.engine import Engine
from tests.engine import lab
from tests.engine.service import FILES, SETTINGS, Service, make_service, toml

NAMES = ("api", "web")
_OF_A_SERVICE = ("app.py", "test.py", "Dockerfile", "requirements.in", "requirements.txt")


@pytest.fixture
def shop(tmp_path: Path, engine: Engine) -> Iterator[Service]:
    """Two services in one repository; api uses a library beside it."""
    made = make_service(tmp_path / "shop", files=dict.fromkeys(_OF_A_SERVICE, ""))
    names = [f"{made.name}-{name}" for name in NAMES]
    own = {"context": None}
    defaults = {key: value for key, value in SETTINGS.items() if key not in own}
    services = {
        name: {"context": f"services/{short}", **({} if short == "web" else {"shared": ["libs/common"]})}
        for name, short in zip(names, NAMES, strict=True)
    }
    (made.folder / "pyproject.toml").write_text(
        toml({"tool": {"release": {**defaults, "services": services}}})
    )
    files = {f"services/{name}/{path}": FILES[path] for name in NAMES for path in _OF_A_SERVICE}
    files |= {f"services/{name}/own": f"{made.name} {name}" for name in NAMES}
    made.commit("feat: two services", {**files, "libs/common/text.py": "GREETING = 'hello'\n"})
    yield made
    for name in names:
        lab.remove_service(engine, name)


def results(ended: str) -> dict[str, tuple[str, str | None]]:
    """The status and the version of each service, by the end of its name."""
    found = json.loads(ended)
    return {each["service"].rpartition("-")[2]: (each["status"], each["version"]) for each in found}


def test_what_changed_is_released_and_one_failure_hides_no_other(shop: Service) -> None:
    """Both at first; then the one that uses the changed library; then both, of which one fails."""
    refused = shop.nox("release", "--", "--changed", "--version", "1.0.0")
    assert refused.status == 2, refused.all
    first = shop.nox("release", "--", "--changed", "--json")
    assert first.status == 0, first.all
    assert results(first.out) == dict.fromkeys(NAMES, ("released", "0.1.0"))
    shop.commit("feat: greet politely", {"libs/common/text.py": "GREETING = 'good day'\n"})
    plan = shop.nox("release", "--", "--changed", "--plan")
    assert [each["version"] for each in plan.document()] == ["0.2.0", None]
    second = shop.nox("release", "--", "--changed", "--json")
    assert second.status == 0, second.all
    assert results(second.out) == {"api": ("released", "0.2.0"), "web": ("unchanged", "0.1.0")}
    again = shop.nox("release", "--", "--changed")
    assert again.status == 0, again.all
    assert [line.split()[1] for line in again.out.splitlines()] == ["0.2.0", "unchanged"]
    broken = {"services/api/test.py": "raise SystemExit('broken')\n", "services/web/own": "other\n"}
    shop.commit("fix: both", broken)
    third = shop.nox("release", "--", "--changed", "--json")
    assert third.status == 1, third.all
    assert results(third.out) == {"api": ("failed", None), "web": ("released", "0.1.1")}
    assert "cannot release 1 of 2 services" in third.err
    log = shop.folder / next(each["log"] for each in third.document() if each["status"] == "failed")
    assert "broken" in log.read_text()
