"""Table `[tool.release]` for a repository, and its TOML text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import tomlkit
from tomlkit.items import Table

from release.config import RUFF
from release.init.facts import RepositoryFacts
from release.init.migrations import find_migrations

GENTLE: Final = "ruff check --select E9,F63,F7,F82 ."
"""Linter of a repository that has none: only what fails when it runs, so that an old service passes."""
NO_TESTS: Final = "the repository has no tests"


def choose_service_name(facts: RepositoryFacts) -> str:
    """Return the service's name: from the imported file, the project, or the folder."""
    taken = facts.imported.tables.get("service") if facts.imported is not None else None
    document = facts.folder.project_file
    poetry = document.get("tool", {}).get("poetry") if isinstance(document.get("tool"), dict) else None
    tables = [each for each in (document.get("project"), poetry) if isinstance(each, dict)]
    named = next((each["name"] for each in tables if each.get("name")), None)
    own = facts.folder.root if facts.context == "." else facts.subfolder.root
    text = str(taken or named or own.resolve().name).lower()
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:40].strip("-") or "service"


def proposed_table(facts: RepositoryFacts) -> dict[str, Any]:
    """Return the whole table `[tool.release]`."""
    taken = facts.imported
    table: dict[str, Any] = {"service": choose_service_name(facts)}
    table |= {key: each for key, each in (taken.tables if taken else {}).items() if key != "service" and each}
    if facts.context != ".":
        table["context"] = facts.context
    elif table.get("context") == ".":
        del table["context"]
    if "origin" in facts.remotes:
        table["ledger"] = {"remote": "origin"}
    table["lint"] = {
        "tools": [facts.test_suite.ruff or RUFF],
        "commands": ["ruff check ." if facts.test_suite.ruff else GENTLE],
    }
    table["build"] = {**_propose_build(facts), **table.get("build", {})}
    table["test"] = _propose_test(facts)
    table["smoke"] = _propose_smoke(facts)
    table["migrations"] = find_migrations(facts.subfolder, facts.application, facts.imported)
    environment = facts.imported.environment if facts.imported else "production"
    table["environments"] = {environment: _propose_environment(facts)}
    return {key: each for key, each in table.items() if each not in (None, {}, [])}


def _propose_build(facts: RepositoryFacts) -> dict[str, Any]:
    image = facts.image
    if image is None:
        return {}
    found = {"dockerfile": image.path} if image.path != "Dockerfile" else {}
    return {**found, **({"target": image.target} if image.target else {})}


def _propose_test(facts: RepositoryFacts) -> dict[str, Any]:
    suite = facts.test_suite
    if not suite.runner:
        return {"command": ["true"], "evidence": "exit-status", "reason": NO_TESTS}
    found: dict[str, Any] = {"target": suite.target, "command": list(suite.command)}
    found |= {"install": list(suite.install), "copy": list(suite.copy)}
    found["env"] = dict.fromkeys(facts.variables, "test")
    return {key: each for key, each in found.items() if each}


def _propose_smoke(facts: RepositoryFacts) -> dict[str, Any]:
    """Return the checks of the smoke run; without a known path, the port must accept connections."""
    found: dict[str, Any] = {}
    serves = (
        facts.application is not None or facts.image is not None or (facts.imported and facts.imported.port)
    )
    if not serves:
        found["stays_up"] = "10s"
    elif facts.path is None:
        found["tcp"] = [facts.port]
    else:
        found["port"] = facts.port
        if facts.path != "/":
            found["path"] = facts.path
        if facts.application is not None and facts.application.host:
            found["host"] = facts.application.host
    taken = facts.imported.settings if facts.imported is not None else {}
    names = [*facts.variables, *(name for name in taken.get("secrets", ()) if name not in facts.variables)]
    if names:
        found["env"] = dict.fromkeys(names, "smoke")
    return found


def _propose_environment(facts: RepositoryFacts) -> dict[str, Any]:
    settings: dict[str, Any] = dict(facts.imported.settings) if facts.imported is not None else {}
    missing = [name for name in facts.variables if name not in settings.get("env", {})]
    if missing:
        given = settings.get("secrets", {})
        settings["secrets"] = {**{name: {"from_env": name} for name in missing}, **given}
    is_free = not (settings.get("publish") or settings.get("host") or settings.get("proxy"))
    if is_free and (facts.path is not None or facts.image is not None or facts.application is not None):
        settings = {"publish": [f"127.0.0.1:{facts.port}:{facts.port}"], **settings}
    others = facts.imported.processes if facts.imported is not None else {}
    return _add_processes(settings, others, choose_service_name(facts))


_OF_ONE: Final = ("publish", "proxy", "command", "entrypoint")
"""Settings of the serving process only."""
_SCHEDULERS: Final = frozenset({"beat", "celery-beat", "clock", "cron", "scheduler"})


def _add_processes(
    settings: dict[str, Any], others: Mapping[str, Sequence[str]], service: str
) -> dict[str, Any]:
    """Return settings with a table for each process, if there are several."""
    if not others:
        return settings
    shared = {key: each for key, each in settings.items() if key not in _OF_ONE}
    main = "web" if "web" not in others else service
    processes: dict[str, Any] = {main: {key: settings[key] for key in _OF_ONE if key in settings}}
    for given, command in others.items():
        name = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-") or "other"
        own: dict[str, Any] = {"command": list(command)} if command else {}
        processes[name] = {**own, "after": [main], **({"exclusive": True} if name in _SCHEDULERS else {})}
    return {**shared, "processes": processes}


def add_table(text: str, table: Mapping[str, Any], *, own_file: bool) -> str:
    """Return the text of pyproject.toml or release.toml with the table added at its end."""
    made = tomlkit.document()
    if own_file:
        for key, value in _toml_table(table).items():
            made.add(key, value)
    else:
        above = tomlkit.table(is_super_table=True)
        above.add("release", _toml_table(table))
        made.add("tool", above)
    return _end_with_newline(text) + tomlkit.dumps(made).lstrip("\n")


def _end_with_newline(text: str) -> str:
    return f"{text.rstrip()}\n\n" if text.strip() else ""


def _toml_table(values: Mapping[str, Any]) -> Table:
    """Return a TOML table: plain keys first, small tables on one line, other tables below."""
    plain = {key: each for key, each in values.items() if not isinstance(each, Mapping)}
    made = tomlkit.table(is_super_table=bool(values) and not plain and not _is_inline_table(values))
    for key, each in plain.items():
        made.add(key, each)
    for key, each in values.items():
        if isinstance(each, Mapping) and _is_inline_key(key):
            made.add(key, _inline_value(each))
    for key, each in values.items():
        if isinstance(each, Mapping) and not _is_inline_key(key):
            made.add(key, _toml_table(each))
    return made


def _is_inline_table(values: Mapping[str, Any]) -> bool:
    return any(isinstance(each, Mapping) and _is_inline_key(key) for key, each in values.items())


def _is_inline_key(key: str) -> bool:
    return key in ("env", "secrets", "args")


def _inline_value(values: Mapping[str, Any]) -> Any:
    made = tomlkit.inline_table()
    for key, each in values.items():
        made.add(key, _inline_value(each) if isinstance(each, Mapping) else each)
    return made
