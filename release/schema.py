"""Reference documents that are written from the types themselves, and so cannot say anything else.

`nox -s docs` writes them: the page of `[tool.release]`, where a key's type and default come from the parser's
JSON Schema and its meaning from the text below it in release/config; and a JSON Schema for every kind of
record.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from release.config import Service, chain, environment, service, smoke, testing
from release.records import KINDS, SCHEMA, Envelope, Part
from release.runspec import Duration, FileMode, Memory, Pause, duration_text, size_text

ONE_SERVICE: Final = """\
[project]
name = "api"

[tool.release]
service = "api"
context = "services/api"
registry = "registry.example/acme"
registry_ca = "ops/registry-ca.pem"
tags = "loose"                            # v4.2 counts as 4.2.0
parallel = true

[tool.release.ledger]
branch = "release-ledger"
remote = "origin"
sign = true
allowed_signers = ".release-signers"
require_signed = true
id = "0123456789abcdef0123456789abcdef"

[tool.release.lock]
path = "requirements.txt"
kind = "requirements.txt"
tool = "uv==0.13.9"
source = "requirements.in"
require_hashes = true
allow_unchecked = true
python = "3.13"
pass_env = ["INDEX_REGION"]

[tool.release.lint]
python = "3.13"
tools = ["ruff==0.14.5"]
commands = ["ruff check .", "ruff format --check ."]
pass_env = ["RUFF_CACHE_DIR"]

[tool.release.build]
dockerfile = "Dockerfile"
target = "runtime"
not_secret = ["CACHE_KEY"]
args = { FLAVOUR = "slim", CACHE_KEY = "2026-11" }
ssh = ["default", "mirror=~/.ssh/mirror"]
proxy = true
platform = "linux/amd64"
mirrors = { "docker.io" = "registry.example/hub" }

[tool.release.build.secrets]
netrc = { from_file = "~/.netrc" }
index = { from_env = "INDEX_TOKEN" }
ca = { from_command = ["cat", "/etc/ssl/company.pem"], timeout = "10s" }

[tool.release.push]
stalled = "2m"
read_back = "all"

[tool.release.test]
target = "test"
command = ["python", "-m", "pytest", "-q"]
entrypoint = "replace"
env = { TZ = "UTC" }
timeout = "10m"
report = "/tmp/report.xml"
count = "Passed: ([0-9]+)"
network = true
memory = "4g"
pids = 4096
cap_add = ["CHOWN"]
new_privileges = false

[tool.release.smoke]
port = 8000
path = "/healthz"
status = 200
host = "api.example"
headers = { X-Forwarded-Proto = "https" }
tcp = [9000]
check = ["python", "-m", "app.check"]
stays_up = "10s"
healthcheck = { disable = true }
timeout = "30s"
stop_grace = "10s"
stop_signal = "SIGTERM"
command = ["gunicorn", "app.main:app"]
entrypoint = "replace"
init = true
user = "10001:10001"
cap_add = ["NET_BIND_SERVICE"]
env = { LOG_LEVEL = "debug" }
memory = "512m"
pids = 256
read_only = true
tmpfs = ["/tmp", "/run/app:uid=10001,gid=10001,mode=0750"]

[tool.release.smoke.processes.worker]
command = ["celery", "--app=app", "worker"]
check = ["celery", "--app=app", "inspect", "ping"]

[tool.release.smoke.processes.beat]
command = ["celery", "--app=app", "beat"]
stays_up = "10s"
healthcheck = { disable = true }

[tool.release.smoke.processes.admin]
port = 8001
path = "/healthz"
status = 200
host = "admin.example"
headers = { X-Forwarded-Proto = "https" }
tcp = [9001]
timeout = "30s"
stop_grace = "10s"
stop_signal = "SIGTERM"
command = ["gunicorn", "app.admin:app"]
entrypoint = "replace"
init = true
user = "10001:10001"
cap_add = ["NET_BIND_SERVICE"]
env = { LOG_LEVEL = "debug" }
memory = "512m"
pids = 256
read_only = true
tmpfs = ["/tmp"]

[tool.release.migrations]
paths = ["migrations/versions/*.py"]
down = ["alembic", "downgrade", "{head}"]
entrypoint = "replace"
base = "base"
timeout = "10m"

[tool.release.retention]
releases = 5
window = "30d"
prune_after_deploy = true
last_copies = false

[tool.release.environments.production]
engine = "docker"
host = "ssh://deploy@production.example"
command = ["gunicorn", "app.main:app"]
entrypoint = "replace"
env = { LOG_LEVEL = "info" }
publish = ["127.0.0.1:8080:8000"]
networks = ["backend"]
volumes = ["data:/var/lib/api", "/etc/ssl:/etc/ssl:ro"]
memory = "256m"
cpus = 0.5
pids = 128
user = "10001:10001"
read_only = true
tmpfs = ["/tmp"]
cap_add = ["NET_BIND_SERVICE"]
cap_drop = ["ALL"]
restart = "unless-stopped"
stop_grace = "10s"
labels = { team = "core" }
init = true
stop_signal = "SIGTERM"
log_driver = "json-file"
log_options = { max-size = "10m", max-file = "3" }
health_timeout = "60s"
drill_on = "staging"
freeze_after_rollback = "1h"

health_tcp = [8000]
health_command = ["python", "-m", "app.check"]
watch = "10s"

[tool.release.environments.production.secrets]
DATABASE_URL = { from_env = "PROD_DATABASE_URL", policy = "pinned" }
SIGNING_KEY = { from_file = "/run/keys/signing", file = "/run/secrets/signing" }
API_TOKEN = { from_command = ["op", "read", "op://prod/api/token"], timeout = "30s" }

[tool.release.environments.production.files."/etc/api/settings.toml"]
source = "deploy/production.toml"
mode = "0444"
not_secret = true

[tool.release.environments.production.healthcheck]
command = ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz')"]
interval = "10s"
timeout = "3s"
start_period = "20s"
start_interval = "500ms"
retries = 3

[tool.release.environments.staging]
context = "staging"
healthcheck = { disable = true }
replicas = 3

[tool.release.environments.staging.proxy]
kind = "haproxy"
network = "edge"
container = "haproxy"
admin = "/run/haproxy/admin.sock"
backend = "api"
port = 8000
drain = "30s"
state_file = "/var/lib/haproxy/servers"

[tool.release.environments.acceptance.proxy]
kind = "dns"
network = "edge"
ttl = "2s"

[tool.release.environments.preview.proxy]
kind = "traefik"
network = "edge"
rule = "Host(`preview.example`)"

[tool.release.environments.cluster]
engine = "swarm"
context = "manager"
replicas = 3
publish = ["8080:8000"]
networks = ["web"]

[tool.release.environments.cluster.swarm]
constraints = ["node.role==worker"]
endpoint_mode = "vip"
publish_mode = "host"
order = "stop-first"
parallelism = 1
delay = "10s"
monitor = "5s"
failure_action = "pause"
max_per_node = 2
reserve_memory = "128m"
reserve_cpus = 0.25

[tool.release.environments.cluster.swarm.nodes]
worker-1 = { host = "ssh://deploy@worker-1" }
worker-2 = { context = "worker-2" }
"""
"""Every key of one service but those that exclude another."""

SEVERAL_SERVICES: Final = """\
[tool.release]
registry = "registry.example/acme"

[tool.release.smoke]
port = 8000
path = "/healthz"

[tool.release.services.api]
context = "services/api"

[tool.release.services.web]
context = "services/web"

[tool.release.services.web.test]
install = ["-r requirements-dev.txt"]
copy = ["tests"]
secrets = { PIP_CONFIG_FILE = "pip" }
command = ["./check.sh"]
evidence = "exit-status"
reason = "a shell script that checks pages; it counts no tests"

[tool.release.services.web.build.secrets.pip]
from_env = "PIP_CONFIG"

[tool.release.services.web.smoke]
port = 3000
"""
"""What two services share, and what is one's own."""

_PAGE: Final = """\
# Configuration

<!-- Written from the parser by `nox -s docs`. After a change of the parser, write it again. -->

Everything stands in `[tool.release]` of `pyproject.toml`, or in a file `release.toml` beside it. The file has
the same tables without `tool.release`: `[smoke]`, `[environments.production]`. Both at once are refused.
`release.toml` is left out of the build context: a change of it rebuilds nothing.

The configuration is parsed before anything else happens: every
problem is reported at once, each with its key's path, and an unknown key is a problem too. A problem ends the
command with exit status 2, and nothing was changed.

A time is text with its unit, as `"30s"` (ms, s, m, h, d). A size is text with its unit, as `"256m"` (b, k, m,
g: each 1024 of the one before), or a whole number of bytes. Paths stand below the repository's root. A dash
means that nothing is set.

{tables}
## One service

With every key, but `install`, `copy` and `test.secrets`, which exclude `target`, and `evidence` and `reason`,
which exclude `report` and `count`:

```toml
{one}```

## Several services

Each has a table of its own, whose name is its name; what stands outside of these tables is what they share.
A service's own keys win, table by table, and the others stay. Commands then take `--service`, and git tags
carry the name: `api/v1.4.2`.

```toml
{several}```
"""

_LINKED: Final = (
    "Ledger",
    "Lock",
    "Lint",
    "Build",
    "Secret",
    "Push",
    "Test",
    "Smoke",
    "SmokeRun",
    "Migrations",
    "Retention",
    "Environment",
    "EnvironmentSecret",
    "File",
    "HealthcheckSettings",
    "Proxy",
    "Swarm",
    "NodeEngine",
)
"""The tables, in the order of the page; each has a section of its own."""


def page() -> str:
    """The page docs/reference/configuration.md, in Markdown."""
    schema = Service.model_json_schema(by_alias=True)
    tables = [schema, *(schema["$defs"][name] for name in _LINKED)]
    return _PAGE.format(
        tables="\n".join(map(_section, tables)),
        one=ONE_SERVICE,
        several=SEVERAL_SERVICES,
    )


def _section(table: dict[str, Any]) -> str:
    heading, _, sentence = table["description"].partition(": ")
    lines = [f"## {heading}", "", f"{sentence[0].upper()}{sentence[1:]}", ""]
    lines += ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *_rows(table)]) + "\n"


def _rows(table: dict[str, Any]) -> Iterator[str]:
    meanings = _meanings(table["title"])
    for key, schema in table["properties"].items():
        if not _is_section(schema):
            cells = [f"`{key}`", _value(schema), _default(schema, key, table), meanings[key]]
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _is_section(schema: dict[str, Any]) -> bool:
    """Return whether the key is a table whose keys are in a section of their own."""
    if "description" in schema:  # a table that has its section elsewhere
        return False
    below = [schema, *schema.get("patternProperties", {}).values(), *schema.get("anyOf", [])]
    return any(each.get("$ref", "").rpartition("/")[2] in _LINKED for each in below)


def _value(schema: dict[str, Any]) -> str:
    """Return what may be written for a key, in words."""
    match schema:
        case {"description": words}:
            return str(words)
        case {"anyOf": [given, {"type": "null"}]}:
            return _value(given)
        case {"enum": values}:
            return ", ".join(f"`{json.dumps(value)}`" for value in values)
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"type": "array", "items": item}:
            return f"list: {_value(item)}"
        case {"type": "object"}:
            return "table: text by name"
        case {"type": "integer", "minimum": low, **more}:
            return f"whole number from {low}" + (f" to {more['maximum']}" if "maximum" in more else "")
        case {"type": "boolean"}:
            return "true or false"
        case _:
            return "text"


def _default(schema: dict[str, Any], key: str, table: dict[str, Any]) -> str:
    if key in table.get("required", ()):
        return _ELSEWHERE.get(key, "required")
    value = schema.get("default")
    if value is None or value == []:
        return "-"
    if schema.get("description") in _UNITS:
        value = _UNITS[schema["description"]](value)
    return f"`{json.dumps(value)}`"


_ELSEWHERE: Final = {"service": "`project.name`"}
"""Defaults that the parser takes from outside of `[tool.release]`."""

_UNITS: Final = {
    TypeAdapter(Duration).json_schema()["description"]: duration_text,
    TypeAdapter(Pause).json_schema()["description"]: duration_text,
    TypeAdapter(Memory).json_schema()["description"]: size_text,
    TypeAdapter(FileMode).json_schema()["description"]: "{:04o}".format,
}
"""How a number is written as text, by the words for its type."""


def _meanings(title: str) -> dict[str, str]:
    """The text below each key of a class in `release.config`."""
    tables = {
        node.name: node
        for module in (chain, environment, service, smoke, testing)
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef)
    }
    table = tables[title]
    inherited = [ast.unparse(base) for base in table.bases if ast.unparse(base) in tables]
    return {key: text for base in inherited for key, text in _meanings(base).items()} | {
        ast.unparse(field.target).removesuffix("_"): " ".join(ast.literal_eval(text.value).split())
        for field, text in zip(table.body, table.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def documents() -> dict[str, str]:
    """Every written document: its path below docs/reference, and its text."""
    schemas = {
        f"schemas/{kind}.json": json.dumps(record_schema(kind), indent=2, ensure_ascii=False) + "\n"
        for kind in sorted(KINDS)
    }
    return {"configuration.md": page(), **schemas}


def record_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record of this kind: envelope and body. Raises KeyError: no such kind.

    Keys that are not in it are allowed, as a later minor version may have them.
    """
    envelope, body = _without_null(_schema_of(Envelope)), _without_null(_schema_of(KINDS[kind]))
    place = envelope["properties"] | {
        "schema": {"type": "string", "pattern": rf"^{SCHEMA.partition('.')[0]}\.\d+$"},
        "kind": {"const": kind},
        "prev": _schema_of(Envelope)["properties"]["prev"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": kind,
        "properties": place | body["properties"],
        "required": ["schema", *envelope["required"], *body.get("required", [])],
        "$defs": envelope["$defs"] | body.get("$defs", {}),
    }


class _WithoutTitles(GenerateJsonSchema):
    """A key's title would be its name once more."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the base class's signature
        return False


def _schema_of(part: type[Part]) -> dict[str, Any]:
    return part.model_json_schema(by_alias=True, schema_generator=_WithoutTitles)


def _without_null(schema: Any) -> Any:
    """A key without a value is left out of a record, never null."""
    if isinstance(schema, list):
        return [_without_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    match schema:
        case {"anyOf": [given, {"type": "null"}], **more}:
            kept = {key: value for key, value in more.items() if key != "default" or value is not None}
            return _without_null(given | kept)
    return {key: _without_null(value) for key, value in schema.items()}
