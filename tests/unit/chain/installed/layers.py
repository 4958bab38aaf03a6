"""Layers made in a test: tar archives with the metadata of packages."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping

SITE = "usr/local/lib/python3.13/site-packages"


def package(
    name: str, version: str, *, site: str = SITE, requires: str = "", url: str = ""
) -> dict[str, str]:
    """Files of an installed package."""
    folder = f"{site}/{name.replace('-', '_')}-{version}.dist-info"
    needed = "".join(f"Requires-Dist: {line}\n" for line in requires.split(";;") if line)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}\nAbout it.\n\nName: other\n"
    files = {f"{folder}/METADATA": text, f"{folder}/RECORD": ""}
    if url:
        files[f"{folder}/direct_url.json"] = json.dumps({"url": url, "dir_info": {}})
    return files


def layer(files: Mapping[str, str], *, compressed: bool = False) -> io.BytesIO:
    """A layer with these files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            tar.addfile(member, io.BytesIO(content.encode()))
    return io.BytesIO(gzip.compress(archive.getvalue())) if compressed else io.BytesIO(archive.getvalue())
