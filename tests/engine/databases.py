"""A real PostgreSQL and a real Redis in one image, from the packages of the base's own system."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Final

from release.images.engine import Engine
from release.reference import Digest, Reference
from tests.engine import lab

_PACKAGES: Final = (
    *("postgresql-17", "postgresql-client-17", "libpq5", "libxml2", "libxslt1.1", "libicu76", "libldap2"),
    *("libsasl2-2", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0", "libcom-err2"),
    *("libkeyutils1", "libedit2", "libgcrypt20", "libgpg-error0"),
    *("redis-server", "redis-tools", "libjemalloc2", "liblzf1", "libatomic1"),
)
"""Without what they need to be installed: Perl, locales, a compiler. That would be ten times as much."""

DOCKERFILE: Final = f"""\
FROM {lab.BASE_IMAGE}
RUN apt-get update && mkdir /packages && cd /packages \\
 && apt-get download {" ".join(_PACKAGES)} \\
 && for package in *.deb; do dpkg -x $package /; done \\
 && rm -rf /packages /var/lib/apt/lists/* /usr/lib/postgresql/*/lib/bitcode \\
 && ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/ \\
 && useradd postgres && install -d -o postgres /srv/data \\
 && su postgres -c "initdb --auth=trust --no-sync /srv/data" \\
 && echo "host all all all trust" >> /srv/data/pg_hba.conf
COPY test_databases.py /srv/
"""

SUITE: Final = """\
import subprocess
import unittest

class Databases(unittest.TestCase):
    def test_postgresql(self):
        self.assertEqual("42", said("psql", "--host=db", "--user=postgres", "-Atc", "SELECT 6 * 7"))
    def test_redis(self):
        self.assertEqual("OK", said("redis-cli", "-h", "cache", "set", "key", "value"))
        self.assertEqual("value", said("redis-cli", "-h", "cache", "get", "key"))

def said(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
"""
"""Tests that need both."""

POSTGRESQL: Final = {
    "command": ["postgres", "-D", "/srv/data", "-c", "listen_addresses=*", "-k", "/tmp"],
    "user": "postgres",
    "health": ["psql", "--host=127.0.0.1", "--user=postgres", "-c", "SELECT 1"],
}
REDIS: Final = {
    "command": ["redis-server", "--protected-mode", "no"],
    "health": ["redis-cli", "ping"],
}
"""Keys of companions."""


def databases_image(engine: Engine) -> Digest:
    """The image's id. It stays in the engine, and is made again only in another way."""
    recipe = hashlib.sha256((DOCKERFILE + SUITE).encode()).hexdigest()[:12]
    name = f"localhost/release-databases:{recipe}"
    with lab.alone("release-databases"):
        found = engine.inspect(Reference.parse(name))
        if found is not None:
            return found.id
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "test_databases.py").write_text(SUITE)
            return lab.build(engine, name, dockerfile=DOCKERFILE, folder=Path(folder))
