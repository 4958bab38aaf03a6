"""Migrations of a repository: Django or Alembic."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from release.init.application import Application
from release.init.folder import RepositoryFolder
from release.init.taken import ImportedSettings


def find_migrations(
    folder: RepositoryFolder, application: Application | None, taken: ImportedSettings | None
) -> dict[str, Any]:
    """Return the table `[tool.release.migrations]`; empty if there are no migrations."""
    found = _find_alembic(folder) or (_find_django_migrations(folder) if _is_django(application) else {})
    if not found or (application is not None and keeps_data_in_the_image(folder, application)):
        return {key: each for key, each in found.items() if key == "paths"}
    up = list(taken.up) if taken is not None and taken.up else found["up"]
    return {**found, "up": up}


def _is_django(application: Application | None) -> bool:
    return application is not None and application.framework == "Django"


def _find_alembic(folder: RepositoryFolder) -> dict[str, Any]:
    match = re.search(r"^script_location\s*=\s*(\S+)", folder.read_text("alembic.ini"), re.MULTILINE)
    if match is None:
        return {}
    place = match[1].replace("%(here)s/", "").removeprefix("./").rstrip("/")
    if not any(PurePosixPath(path).match(f"{place}/versions/*.py") for path in folder.files):
        return {}
    up, down = ["alembic", "upgrade", "head"], ["alembic", "downgrade", "-{count}"]
    return {"paths": [f"{place}/versions/*.py"], "up": up, "down": down, "base": "base"}


def _find_django_migrations(folder: RepositoryFolder) -> dict[str, Any]:
    if not any(re.search(r"(^|/)migrations/0[^/]*\.py$", path) for path in folder.files):
        return {}
    return {"paths": ["**/migrations/0*.py"], "up": ["python", "manage.py", "migrate", "--noinput"]}


def keeps_data_in_the_image(folder: RepositoryFolder, application: Application) -> bool:
    """Return whether Django's settings store SQLite data in the image, lost at each deployment."""
    text = folder.read_text(application.settings or "")
    return "django.db.backends.sqlite3" in text and "environ" not in text.partition("DATABASES")[2][:400]
