"""Images of two megabytes, made by hand; they can be sent straight to a registry, without an engine."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from pathlib import Path
from typing import Any, Final

import requests

from release.reference import Digest
from tests.engine import lab, tiny

_SCRIPT: Final = """\
#!/bin/sh
trap 'exit 0' TERM
mode=${MODE:-$IMAGE_MODE}
if [ "$mode" = crashing ]; then echo "cannot start with ${TOKEN:-no token}"; exit 7; fi
if [ "$mode" = hungry ]; then exec dd if=/dev/zero of=/dev/null bs=500M; fi
mkdir -p /tmp/www
[ "$mode" = sick ] || touch /tmp/well /tmp/www/healthz
echo "$VERSION" > /tmp/www/version
cat "${TOKEN_FILE:-/dev/null}" > /tmp/www/token
httpd -f -p 8000 -h /tmp/www &
wait
"""
"""Serves its version and its secret.

Mode `crashing` ends at once, `sick` is never well, `hungry` takes too much memory.
"""


def made(name: str, *, version: str, mode: str) -> tiny.Documents:
    """An image of its own for this version, on no base, with a health check."""
    return tiny.documents(_config(version, mode), _layer(f"{name} {version}"))


def push(registry: lab.RunningRegistry, name: str, image: tiny.Documents) -> None:
    """Send it, without an engine."""
    with _session(registry) as session:
        _send(session, f"https://{registry.host}", name, image)


def push_to(address: str, name: str, image: tiny.Documents) -> None:
    """Send it to a registry without a login."""
    with requests.Session() as session:
        _send(session, address, name, image)


def _send(session: requests.Session, address: str, name: str, image: tiny.Documents) -> None:
    for blob in (image.layer, image.config):
        _upload(session, address, name, blob)
    url = f"{address}/v2/{name}/manifests/{image.image.id}"
    session.put(url, data=image.manifest, headers={"Content-Type": tiny.MANIFEST}).raise_for_status()


def forget(registry: lab.RunningRegistry, name: str, digest: str) -> None:
    """Let the registry lose a manifest."""
    with _session(registry) as session:
        session.delete(f"https://{registry.host}/v2/{name}/manifests/{digest}").raise_for_status()


def _session(registry: lab.RunningRegistry) -> requests.Session:
    session = requests.Session()
    if registry.certificate is not None:
        session.verify = str(registry.certificate.certificate)
        session.trust_env = False
    if registry.login is not None:
        session.auth = (registry.login.user, registry.login.password)
    return session


def _upload(session: requests.Session, address: str, name: str, blob: bytes) -> None:
    """In one piece (OCI distribution specification 1.1, "POST then PUT")."""
    begun = session.post(f"{address}/v2/{name}/blobs/uploads/")
    begun.raise_for_status()
    place = requests.compat.urljoin(begun.url, begun.headers["Location"])
    done = session.put(place, params={"digest": str(Digest.of(blob))}, data=blob)
    done.raise_for_status()


def _config(version: str, mode: str) -> dict[str, Any]:
    second = 1_000_000_000
    health = {
        "Test": ["CMD", "/bin/test", "-f", "/tmp/well"],
        "Interval": second // 2,
        "Timeout": second * 5,
        "Retries": 3,
        "StartInterval": second // 5,
        "StartPeriod": second,
    }
    config = {
        "Env": ["PATH=/bin", f"VERSION={version}", f"IMAGE_MODE={mode}"],
        "Cmd": ["/bin/sh", "/serve"],
        "Healthcheck": health,
    }
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": []},
    }


def _layer(salt: str) -> bytes:
    """busybox under the names that the script uses, the script, and a mark that makes the image its own."""
    found = shutil.which("busybox")
    assert found is not None, "busybox-static is not installed: ./dev installs it"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "bin/busybox", Path(found).read_bytes(), 0o755)
        for name in ("sh", "httpd", "touch", "mkdir", "test", "cat", "sleep", "wget", "dd"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        _add(tar, "serve", _SCRIPT.encode(), 0o755)
        _add(tar, "salt", hashlib.sha256(salt.encode()).digest(), 0o644)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))
