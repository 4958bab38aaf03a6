"""What a release records of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release import config
from release.chain.record import migrations
from release.config import Service
from release.source import Source
from tests.unit.repository import Repository


def service(**settings: Any) -> Service:
    table = {"service": "api", "context": "api", "smoke": {"port": 8000}, **settings}
    return config.parse({"tool": {"release": table}}).service(None)


def test_the_migrations_of_the_commit_are_recorded_where_paths_are_configured(tmp_path: Path) -> None:
    """Below the service's folder, of what is committed; without paths nothing is recorded."""
    repository = Repository.init(tmp_path / "here")
    repository.commit(
        "feat: start", **{"api/migrations/1.py": "one", "api/migrations/2.py": "two", "3.py": "x"}
    )
    (repository.root / "api/migrations/4.py").write_text("not committed")
    source = Source.open(repository.root)
    try:
        commit = source.head().id
        found = migrations(source, commit, service(migrations={"paths": ["migrations/*.py"]}))
        assert found is not None
        assert (found.count, found.head) == (2, "migrations/2.py")
        assert migrations(source, commit, service()) is None
    finally:
        source.close()
