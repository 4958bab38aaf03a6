"""Import of a compose file: settings that an environment also has.

Source: the Compose specification, "Services top-level elements".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from release.errors import UsageError
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

FILES: Final = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")

_SAME: Final = {"user": str, "read_only": bool, "init": bool, "restart": str, "stop_signal": str}
_KNOWN: Final = frozenset(
    {
        *("build", "image", "ports", "environment", "volumes", "command", "entrypoint", "healthcheck"),
        *("deploy", "mem_limit", "cpus", "tmpfs", "stop_grace_period", "cap_add", "cap_drop", "networks"),
        *("container_name", "labels", "logging", "expose", "hostname", "tty", "stdin_open", "platform"),
        *_SAME,
    }
)
_SILENT: Final = frozenset({"container_name", "expose", "hostname", "tty", "stdin_open"})
_PORT: Final = re.compile(r"(?:((?:[0-9.]+|\[[0-9a-fA-F:]+\])):)?(\d+):(\d+)(/tcp|/udp)?")


def import_compose_file(folder: RepositoryFolder, path: str, service: str | None) -> ImportedSettings:
    """Return the settings of the service that is built here.

    Raise UsageError if there is none, or no file.
    """
    services = subtable(read_yaml(folder, path), "services")
    built = {name: each for name, each in services.items() if isinstance(each, dict) and each.get("build")}
    if service is not None and isinstance(services.get(service), dict):
        name = service
    elif built:
        name = next((each for each, its in built.items() if its.get("ports")), next(iter(built)))
    else:
        found = f"no service has `build`; there are: {', '.join(services) or 'none'}"
        raise UsageError(f"take over {path}", found, "name the service: init --from FILE --service NAME")
    own = services[name]
    left = [f"{path}: {sentence}" for sentence in _describe_unsupported_keys(services, name, own)]
    same = {
        each for each, its in built.items() if each != name and _compose_build(its) == _compose_build(own)
    }
    settings, more = _import_settings(own, left)
    return ImportedSettings(
        file=path,
        tables={"service": _service_name(name), **more},
        settings=settings,
        command=command_words(own.get("command")),
        processes={each: command_words(built[each].get("command")) for each in sorted(same)},
        port=_container_port(own),
        path=_health_path(own),
        notes=left,
    )


def _service_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")


def _describe_unsupported_keys(services: Mapping[str, Any], name: str, own: Mapping[str, Any]) -> list[str]:
    """Return sentences on keys and services that cannot be imported."""
    found = [
        f"{name}.{key}: no setting is the same" for key in own if str(key) not in _KNOWN | {"depends_on"}
    ]
    if own.get("env_file"):
        found.append(f"{name}.env_file: write its plain values into env, and name its secrets in secrets")
    for other, each in services.items():
        if other == name or not isinstance(each, dict) or _compose_build(each) == _compose_build(own):
            continue
        what = each.get("image", "an image that is built")
        found.append(
            f"the service {other} ({what}): run it as before in production. "
            f"For tests, add `[tool.release.companions.{other}]` with its digest"
        )
    return found


def _compose_build(service: Mapping[str, Any]) -> Any:
    build = service.get("build")
    return {"context": build} if isinstance(build, str) else build


def _import_settings(own: Mapping[str, Any], left: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return keys for the environment, and keys for the service."""
    known = sort_variables(parse_name_value_pairs(own.get("environment")))
    left += known.notes
    limits = subtable(subtable(subtable(own, "deploy"), "resources"), "limits")
    settings: dict[str, Any] = {
        "publish": _import_ports(own, left),
        "env": known.env,
        "secrets": known.secrets,
    }
    settings["volumes"] = list(import_volumes(own.get("volumes"), left))
    settings["memory"] = _import_memory(own.get("mem_limit", limits.get("memory")), left)
    settings["cpus"] = _parse_number(own.get("cpus", limits.get("cpus")))
    settings["tmpfs"] = (
        [text.partition(":")[0] for text in list_of_texts(own.get("tmpfs"))] if own.get("tmpfs") else []
    )
    settings["stop_grace"] = own.get("stop_grace_period")
    settings |= {key: own.get(key) for key, kind in _SAME.items() if isinstance(own.get(key), kind)}
    settings |= {key: list_of_texts(own[key]) for key in ("cap_add", "cap_drop") if own.get(key)}
    if own.get("entrypoint"):
        settings["command"] = [*command_words(own["entrypoint"]), *command_words(own.get("command"))]
    elif own.get("command"):
        settings |= {"command": list(command_words(own["command"])), "entrypoint": "keep"}
    if own.get("networks"):
        left.append("networks: name existing networks in `networks` of the environment")
    build = subtable({"build": _compose_build(own)}, "build")
    context = str(build.get("context", ".")).removeprefix("./").rstrip("/") or "."
    more = {"context": context, "build": _import_build(build, left)}
    return {key: value for key, value in settings.items() if value not in (None, [], {})}, more


def _import_build(build: Mapping[str, Any], left: list[str]) -> dict[str, Any]:
    args = sort_variables(parse_name_value_pairs(build.get("args")))
    left += [f"the build argument {name}: use `build.secrets`" for name in args.secrets]
    found = {"dockerfile": build.get("dockerfile"), "target": build.get("target"), "args": args.env}
    left += [f"build.{key}: no setting is the same" for key in build if key not in ("context", *found)]
    return {key: value for key, value in found.items() if value}


def _import_ports(own: Mapping[str, Any], left: list[str]) -> list[str]:
    found: list[str] = []
    for each in own.get("ports") or ():
        text = str(each)
        if isinstance(each, dict):
            text = f"{each.get('published', '')}:{each.get('target', '')}/{each.get('protocol', 'tcp')}"
        if _PORT.fullmatch(text):
            found.append(text.removesuffix("/tcp"))
        else:
            left.append(f"the port {text!r}: write it as [address:]host:container")
    return found


def _container_port(own: Mapping[str, Any]) -> int | None:
    matches = (_PORT.fullmatch(text) for text in _import_ports(own, []))
    exposed = [text for text in list_of_texts(own.get("expose")) if text.isdigit()]
    return next((int(match[3]) for match in matches if match), int(exposed[0]) if exposed else None)


def _health_path(own: Mapping[str, Any]) -> str | None:
    test = " ".join(list_of_texts(subtable(own, "healthcheck").get("test")))
    match = re.search(r"https?://[^/\s\"']+(/[\w./-]*)", test)
    return match[1] if match else None


def _import_memory(value: object, left: list[str]) -> str | None:
    """Return a size as deployments write it: "512M" and "1gb" become "512m" and "1g"."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+)\s*([kmg]?)b?", str(value).strip().lower())
    if match is None:
        left.append(f"the memory limit {value!r}: write it as 512m")
        return None
    return match[1] + match[2]


def _parse_number(value: object) -> float | None:
    try:
        return float(str(value)) if value is not None else None
    except ValueError:
        return None
