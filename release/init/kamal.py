"""Import of Kamal's config/deploy.yml: settings that an environment also has.

Source: Kamal 2's own configuration documents (`kamal docs`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from release.init.folder import RepositoryFolder
from release.init.taken import (
    ImportedSettings,
    command_words,
    import_volumes,
    list_of_texts,
    parse_name_value_pairs,
    read_yaml,
    sort_variables,
    subtable,
)

_TAKEN: Final = frozenset(
    {"service", "image", "servers", "registry", "env", "volumes", "proxy", "builder", "ssh"}
)
_REASONS: Final = {
    "accessories": "run databases as before; for tests, see `invoke explain tests-with-a-database`",
    "boot": "`replicas` and a proxy replace containers one by one: `invoke explain behind-a-proxy`",
    "hooks_path": "no hooks of Kamal are run",
    "aliases": "the tasks of invoke replace them",
    "asset_path": "serve assets from the image, or from a volume",
    "logging": "write `log_driver` and `log_options` of the environment",
    "retain_containers": "write `[tool.release.retention]`",
    "require_destination": "name the environment by --environment",
}


def import_kamal_file(folder: RepositoryFolder, path: str) -> ImportedSettings:
    """Return the settings of a deploy.yml. Raise UsageError if it is not a YAML file."""
    document = read_yaml(folder, path)
    left = [f"{key}: {_REASONS.get(key, 'no setting is the same')}" for key in document if key not in _TAKEN]
    hosts, processes = _import_servers(document, left)
    env = subtable(document, "env")
    secret = _import_secrets(env)
    clear = subtable(env, "clear") or {
        key: value for key, value in env.items() if key not in ("secret", "tags")
    }
    known = sort_variables(parse_name_value_pairs(clear))
    left += known.notes
    proxy = subtable(document, "proxy")
    port = proxy.get("app_port", 80)
    settings: dict[str, Any] = {"env": known.env, "secrets": {**known.secrets, **secret}}
    settings["volumes"] = list(import_volumes(document.get("volumes"), left))
    settings["host"] = _engine_address(hosts, subtable(document, "ssh"), left)
    settings["stop_grace"] = _duration_text(document.get("drain_timeout"))
    if proxy.get("host") or proxy.get("hosts") or proxy.get("ssl"):
        left.append(
            "proxy: kamal-proxy is not driven. Put Caddy, HAProxy or Traefik in front: behind-a-proxy"
        )
    else:
        settings["publish"] = [f"{port}:{port}"]
    return ImportedSettings(
        file=path,
        tables={
            "service": _service_name(document.get("service")),
            **_import_registry(document, left),
            **_import_build(document, left),
        },
        settings={key: value for key, value in settings.items() if value not in (None, [], {})},
        processes=processes,
        port=port if isinstance(port, int) else None,
        path=_scalar_text(subtable(proxy, "healthcheck").get("path")) or "/up",
        notes=[f"{path}: {sentence}" for sentence in left],
    )


def _scalar_text(value: object) -> str | None:
    return value if isinstance(value, str) and value and "<%" not in value else None


def _service_name(name: object) -> str | None:
    text = re.sub(r"[^a-z0-9]+", "-", str(_scalar_text(name) or "").lower()).strip("-")[:40].strip("-")
    return text or None


def _import_secrets(env: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source of each secret; for an alias, as "DB:MAIN_DB", the second name."""
    found = (text.partition(":") for text in list_of_texts(env.get("secret")) if env.get("secret"))
    return {name: {"from_env": other or name} for name, _, other in found}


def _import_servers(
    document: Mapping[str, Any], left: list[str]
) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """Return the hosts of the web role, and the commands of the other roles."""
    servers = document.get("servers")
    if isinstance(servers, list):
        return _host_names(servers), {}
    roles = subtable(document, "servers")
    processes: dict[str, tuple[str, ...]] = {}
    for role, each in roles.items():
        if role != "web" and isinstance(each, dict) and each.get("cmd"):
            processes[role] = command_words(each["cmd"])
        elif role != "web":
            left.append(f"servers.{role}: add an environment for this role, with its host and command")
    web = roles.get("web")
    return _host_names(web.get("hosts") if isinstance(web, dict) else web), processes


def _host_names(value: object) -> list[str]:
    """Return host names; an entry with tags is a table with one name."""
    entries = value if isinstance(value, list) else []
    names = [next(iter(each), "") if isinstance(each, dict) else each for each in entries]
    return [name for name in names if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", name)]


def _engine_address(hosts: list[str], ssh: Mapping[str, Any], left: list[str]) -> str | None:
    if len(hosts) > 1:
        left.append(f"servers: an environment has one engine. Add one for each of {', '.join(hosts[1:])}")
    if not hosts:
        return None
    left += [f"ssh.{key}: write it into ~/.ssh/config" for key in ssh if key not in ("user", "port")]
    user, port = _scalar_text(ssh.get("user")) or "root", ssh.get("port")
    return f"ssh://{user}@{hosts[0]}{f':{port}' if isinstance(port, int) else ''}"


def _duration_text(value: object) -> str | None:
    return f"{value}s" if isinstance(value, int) and not isinstance(value, bool) else None


def _import_registry(document: Mapping[str, Any], left: list[str]) -> dict[str, Any]:
    """Return the registry: the server with the image's name but its last part."""
    server = _scalar_text(subtable(document, "registry").get("server")) or "docker.io"
    image = _scalar_text(document.get("image")) or ""
    folder, _, name = image.rpartition("/")
    if name and name != _service_name(document.get("service")):
        left.append(f"image: releases go to {server}/{folder or '<name>'}/<service>, not to {image}")
    if not folder and server == "docker.io":
        return {}
    left.append("registry: log in once with `docker login`; the password is not copied")
    return {"registry": f"{server}/{folder}".rstrip("/")}


def _import_build(document: Mapping[str, Any], left: list[str]) -> dict[str, Any]:
    builder = subtable(document, "builder")
    args = sort_variables(parse_name_value_pairs(builder.get("args")))
    found: dict[str, Any] = {key: _scalar_text(builder.get(key)) for key in ("dockerfile", "target")}
    found["args"] = args.env
    platforms = list_of_texts(builder.get("arch")) if builder.get("arch") else []
    found["platform"] = f"linux/{platforms[0]}" if len(platforms) == 1 else None
    found["secrets"] = {
        name: {"from_env": name} for name in list_of_texts(builder.get("secrets")) if builder.get("secrets")
    }
    left += [
        f"builder.{key}: no setting is the same" for key in builder if key not in (*found, "arch", "context")
    ]
    build = {key: value for key, value in found.items() if value}
    context = str(_scalar_text(builder.get("context")) or ".").removeprefix("./").rstrip("/") or "."
    return {"context": context, **({"build": build} if build else {})}
