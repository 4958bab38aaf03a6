"""Labels of a Swarm's secrets and configs: all that can be changed of them."""

from __future__ import annotations

from collections.abc import Mapping

from docker import APIClient


def relabel(client: APIClient, path: str, labels: Mapping[str, str]) -> None:
    """Give a secret or a config these labels (Docker Engine API 1.45, SecretUpdate, ConfigUpdate).

    Args:
        client: of a manager.
        path: as "secrets/<id>".
        labels: all that it has afterwards.

    Raises requests.HTTPError.
    """
    url = f"{client.base_url}/v{client.api_version}/{path}"
    answer = client.get(url, timeout=client.timeout)
    answer.raise_for_status()
    about = answer.json()
    body = {**about["Spec"], "Labels": dict(labels)}
    version = {"version": about["Version"]["Index"]}
    client.post(f"{url}/update", params=version, json=body, timeout=client.timeout).raise_for_status()
