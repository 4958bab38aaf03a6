"""Objects of the team's manifests: files, a kustomize folder or a Helm chart, rendered by their programs.

Source: https://kubernetes.io/docs/tasks/manage-kubernetes-objects/kustomization/,
https://helm.sh/docs/helm/helm_template/
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from release.config.kubernetes import Chart, Kubernetes
from release.deploy.targets.kubernetes.yaml_documents import load_all
from release.errors import CommandFailed, ReleaseError, UsageError
from release.files.regular import read_regular
from release.programs.environment import EVERYTHING
from release.programs.process import Command, run

_LARGEST: Final = 1024 * 1024
"""Bytes of all manifests together: a record and the inventory's ConfigMap must hold them."""
_MOST: Final = 200
_SHOWN: Final = 3


def rendered(table: Kubernetes, root: Path, *, service: str, namespace: str) -> list[dict[str, Any]]:
    """Return the objects of the manifests, in their order.

    Args:
        table: the configuration, which has manifests.
        root: the repository's folder.
        service: name of the service, for a chart without a release name.
        namespace: namespace, for a chart.

    Raises:
        UsageError: no file matches, a program is missing or fails, or its output is no list of objects.
    """
    if table.manifests:
        texts = [(str(path.relative_to(root)), _text(path, root)) for path in _files(table, root)]
    else:
        command = _command(table, root, service=service, namespace=namespace)
        texts = [(str(command), _output(command))]
    if sum(len(text) for _, text in texts) > _LARGEST:
        raise UsageError(
            "render the manifests", f"they have more than {_LARGEST} characters", "split the service"
        )
    found = [each for name, text in texts for each in _objects(name, text)]
    if len(found) > _MOST:
        raise UsageError("render the manifests", f"they have more than {_MOST} objects", "split the service")
    return found


def _files(table: Kubernetes, root: Path) -> list[Path]:
    """Return the files of the patterns, each once. Raise UsageError for a pattern without a file."""
    found = dict[Path, None]()
    for pattern in table.manifests:
        attempted = f"read the manifests {pattern}"
        if pattern.startswith("/") or ".." in Path(pattern).parts:
            raise UsageError(
                attempted, "it leads out of the repository", "write a path below the repository's folder"
            )
        here = sorted(path for path in root.glob(pattern) if path.is_file())
        if not here:
            raise UsageError(
                attempted, "no file matches", f"check kubernetes.manifests; it is read from {root}"
            )
        found |= dict.fromkeys(here)
    return list(found)


def _text(path: Path, root: Path) -> str:
    attempted = f"read the manifest {path.relative_to(root)}"
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise UsageError(attempted, "it leads out of the repository", "copy the file into the repository")
        return read_regular(path, _LARGEST).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(attempted, str(error), "correct the file") from error


def _command(table: Kubernetes, root: Path, *, service: str, namespace: str) -> Command:
    if table.kustomize is not None:
        folder = str(root / table.kustomize)
        has_kubectl = shutil.which("kubectl") is not None or shutil.which("kustomize") is None
        program = ("kubectl", "kustomize") if has_kubectl else ("kustomize", "build")
        return Command(argv=(*program, folder), cwd=root, inherits=EVERYTHING)
    chart = table.chart or Chart(path=".")
    values = [word for file in chart.values for word in ("--values", str(root / file))]
    name = chart.release_name or service
    words = ("helm", "template", name, str(root / chart.path), "--namespace", namespace, *values)
    return Command(argv=words, cwd=root, inherits=EVERYTHING)


def _output(command: Command) -> str:
    """Return the standard output of a renderer. Raise UsageError with its words if it fails or is missing."""
    words: list[str] = []
    program = command.argv[0]
    attempted = f"render the manifests with `{command}`"
    if shutil.which(program) is None:
        raise UsageError(
            attempted, f"the program {program} is not installed", f"install {program} on this machine"
        )
    try:
        return run(command, apart=words).output
    except CommandFailed as error:
        said = (
            "; ".join(line.strip() for line in words if line.strip())
            or f"it ended with status {error.status}"
        )
        raise UsageError(
            attempted, said, f"correct the files, until the command works in {command.cwd}"
        ) from error
    except ReleaseError as error:
        raise UsageError(attempted, error.found, error.hint) from error


def _objects(name: str, text: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of a stream of YAML documents; the items of a List one by one."""
    try:
        documents = load_all(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        found = " ".join(str(error).split())[:300]
        raise UsageError(f"read the objects of {name}", f"it is not YAML: {found}", "correct it") from error
    for number, document in enumerate(documents, start=1):
        if document is None:
            continue
        if not isinstance(document, dict):
            found = f"document {number} is not an object"
            raise UsageError(f"read the objects of {name}", found, "correct it")
        if document.get("kind") == "List":
            yield from (each for each in document.get("items") or () if isinstance(each, dict))
        else:
            yield document
