"""What a release records of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from release import config
from release.chain.publishing.record import find_migrations
from release.config import Service
from release.events import Event, Warned
from release.git.source import Source
from tests.unit.repository import Repository


def service(**settings: Any) -> Service:
    table = {"service": "api", "context": "api", "smoke": {"port": 8000}, **settings}
    return config.parse({"tool": {"release": table}}).service(None)


def test_the_migrations_of_the_commit_are_recorded_where_paths_are_configured(tmp_path: Path) -> None:
    """Of what is committed below the service's folder; a pattern without any is told; none without paths."""
    repository = Repository.init(tmp_path / "here")
    repository.commit(
        "feat: start", **{"api/migrations/1.py": "one", "api/migrations/2.py": "two", "3.py": "x"}
    )
    (repository.root / "api/migrations/4.py").write_text("not committed")
    source = Source.open(repository.root)
    try:
        commit = source.head().id
        said: list[Event] = []
        paths = ["migrations/*.py", "migrations/*.sql"]
        found = find_migrations(source, commit, service(migrations={"paths": paths}), said.append)
        assert found is not None
        assert (found.count, found.head) == (2, "migrations/2.py")
        assert [event.text for event in said if isinstance(event, Warned)] == [
            (
                "migrations.paths: 'migrations/*.sql' matches no file,"
                " so it protects no migration; correct the pattern"
            )
        ]
        assert find_migrations(source, commit, service(), said.append) is None
    finally:
        source.close()
