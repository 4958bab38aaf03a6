"""Rules of an API server: fields that exist, names and labels that are allowed, defaults that it adds."""

from __future__ import annotations

import re
from typing import Any

import msgspec

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
QUALIFIED = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


INT32 = 2**31 - 1
INT64 = {"generation", "observedGeneration", "runAsUser", "runAsGroup", "fsGroup", "activeDeadlineSeconds"}
"""Fields of the schema with numbers of 64 bits; all others have 32."""


class Refused(Exception):
    """The object is not valid."""


def check_fields(data: dict[str, Any], model: type[msgspec.Struct]) -> None:
    """Raise Refused for a field that the schema does not have, or of another type."""
    _check_numbers(data)
    try:
        known = msgspec.to_builtins(msgspec.convert(data, model))
    except msgspec.ValidationError as error:
        raise Refused(str(error)) from error
    lost = list(_lost(data, known, ""))
    if lost:
        raise Refused(f"field not declared in schema: {', '.join(lost)}")


def _check_numbers(data: Any, name: str = "") -> None:
    if isinstance(data, dict):
        for key, value in data.items():
            _check_numbers(value, key)
    elif isinstance(data, list):
        for item in data:
            _check_numbers(item, name)
    elif isinstance(data, int) and abs(data) > INT32 and name not in INT64:
        raise Refused(f"json: cannot unmarshal number {data} into Go struct field {name} of type int32")


def _lost(given: Any, known: Any, path: str) -> Any:
    if isinstance(given, dict):
        for key, value in given.items():
            if not isinstance(known, dict) or key not in known:
                if value is not None and value != {} and value != []:
                    yield f"{path}.{key}"
            else:
                yield from _lost(value, known[key], f"{path}.{key}")
    elif isinstance(given, list) and isinstance(known, list):
        for number, item in enumerate(given):
            yield from _lost(item, known[number], f"{path}[{number}]")


def check(data: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Raise Refused for what the validation of Kubernetes refuses."""
    meta, kind = data["metadata"], data["kind"]
    names = DNS_LABEL if kind == "Service" else NAME
    if not names.fullmatch(meta.get("name", "")):
        raise Refused(f"metadata.name: Invalid value: {meta.get('name')!r}")
    _check_meta(meta)
    if kind == "Deployment":
        _check_deployment(data, before)
    if kind == "Service" and not all(PORT_NAME.fullmatch(each["name"]) for each in data["spec"]["ports"]):
        raise Refused("spec.ports[0].name: Invalid value")
    if before is not None and before.get("immutable") and before.get("data") != data.get("data"):
        raise Refused("data: Forbidden: field is immutable when `immutable` is set")


def _check_meta(meta: dict[str, Any]) -> None:
    for key, value in (meta.get("labels") or {}).items():
        if not QUALIFIED.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
            raise Refused(f"metadata.labels: Invalid value: {key}={value}")
    for key, value in (meta.get("annotations") or {}).items():
        if not QUALIFIED.fullmatch(key) or not isinstance(value, str):
            raise Refused(f"metadata.annotations: Invalid value: {key}")


def _check_deployment(data: dict[str, Any], before: dict[str, Any] | None) -> None:
    spec = data["spec"]
    chosen, template = spec["selector"]["matchLabels"], spec["template"]
    if not chosen.items() <= template["metadata"]["labels"].items():
        raise Refused("spec.template.metadata.labels: `selector` does not match template `labels`")
    if before is not None and before["spec"]["selector"] != spec["selector"]:
        raise Refused("spec.selector: Invalid value: field is immutable")
    if spec["strategy"]["type"] == "Recreate" and spec["strategy"].get("rollingUpdate"):
        raise Refused("spec.strategy.rollingUpdate: Forbidden")
    _check_meta(template["metadata"])
    volumes = {each["name"] for each in template["spec"].get("volumes") or ()}
    for container in template["spec"]["containers"]:
        mounted = {each["name"] for each in container.get("volumeMounts") or ()}
        if not mounted <= volumes:
            raise Refused(f"volumeMounts: Not found: {mounted - volumes}")
        if not all(PORT_NAME.fullmatch(each.get("name", "a")) for each in container.get("ports") or ()):
            raise Refused("ports[0].name: Invalid value")


def defaulted(data: dict[str, Any]) -> dict[str, Any]:
    """Return the object with what the API server adds, and quantities in its own form."""
    if data["kind"] == "Deployment":
        spec = data["spec"]
        spec.setdefault("replicas", 1)
        spec.setdefault("revisionHistoryLimit", 10)
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
        spec.setdefault("strategy", rolling)
        if spec["strategy"].get("type") == "Recreate":
            spec["strategy"].pop("rollingUpdate", None)
        pod = spec["template"]["spec"]
        for key, value in (("restartPolicy", "Always"), ("dnsPolicy", "ClusterFirst")):
            pod.setdefault(key, value)
        for container in pod["containers"]:
            _default_container(container)
    if data["kind"] == "Job":
        data["spec"].setdefault("suspend", False)
    if data["kind"] == "Service":
        data["spec"].setdefault("clusterIP", "10.0.0.7")
        data["spec"].setdefault("sessionAffinity", "None")
    return data


def _default_container(container: dict[str, Any]) -> None:
    container.setdefault("imagePullPolicy", "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    for probe in (container.get("readinessProbe"), container.get("startupProbe")):
        if probe is not None:
            probe.setdefault("successThreshold", 1)
    for amounts in (container.get("resources") or {}).values():
        for name in amounts:
            amounts[name] = canonical(amounts[name])


def canonical(text: str) -> str:
    """Return a quantity as the server writes it back: the largest unit without a fraction."""
    number, unit = re.fullmatch(r"([0-9]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    amount, binary, decimal = int(number), ["Ki", "Mi", "Gi", "Ti"], ["m", "", "k", "M", "G"]
    units, step = (binary, 1024) if unit in binary else (decimal, 1000)
    at = units.index(unit)
    while amount and amount % step == 0 and at + 1 < len(units):
        amount, at = amount // step, at + 1
    return f"{amount}{units[at]}"
