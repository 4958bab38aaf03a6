"""A token server for a real registry: it signs what `docker-registry` checks.

Source: Distribution, "Token Authentication Specification" and "Token Authentication Implementation" (a JSON
Web Token, RFC 7519, signed with RS256, its certificate in `x5c`).
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from release.programs.process import output_of
from tests.engine import lab

ISSUER: Final = "tests"
SERVICE: Final = "the registry of the tests"
_LEEWAY: Final = 60
"""Seconds that Distribution 2.8 allows a token after its end; taken off, so that tokens do end."""


@dataclass
class TokenServer:
    """Gives tokens to one user; `given` are the scopes asked for."""

    realm: str
    key: Path
    certificate: Path
    login: lab.Login
    seconds: int
    given: list[str] = field(default_factory=list)

    def token(self, scopes: list[str], authorization: str) -> str | None:
        """A token for these scopes; None for anybody else."""
        if authorization != f"Basic {self.login.encoded}":
            return None
        self.given.extend(scopes)
        return self._signed({"access": [_access(scope) for scope in scopes], **self._about()})

    def _about(self) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": ISSUER,
            "sub": self.login.user,
            "aud": SERVICE,
            "nbf": now - 2 * _LEEWAY,
            "iat": now,
            "exp": now + self.seconds - _LEEWAY,
            "jti": uuid.uuid4().hex,
        }

    def _signed(self, claims: dict[str, Any]) -> str:
        chain = "".join(self.certificate.read_text().splitlines()[1:-1])
        header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
        text = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
        made = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.key)],
            input=text.encode(),
            capture_output=True,
            check=True,
        )
        return f"{text}.{_encoded(made.stdout)}"

    @property
    def settings(self) -> dict[str, Any]:
        """For the registry's configuration."""
        return {
            "auth": {
                "token": {
                    "realm": self.realm,
                    "service": SERVICE,
                    "issuer": ISSUER,
                    "rootcertbundle": str(self.certificate),
                }
            }
        }


def _encoded(content: bytes) -> str:
    """RFC 7515, base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _access(scope: str) -> dict[str, Any]:
    """A scope as "repository:acme/api:pull,push"."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


@contextmanager
def token_server(folder: Path, login: lab.Login, *, seconds: int) -> Iterator[TokenServer]:
    """A token server on a free port of 127.0.0.1, whose tokens are good for so many seconds."""
    folder.mkdir(parents=True)
    shared = TokenServer(
        realm="", key=folder / "key.pem", certificate=folder / "cert.pem", login=login, seconds=seconds
    )
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", "-nodes", "-subj", "/CN=tokens"]
    output_of([*words, "-keyout", str(shared.key), "-out", str(shared.certificate)])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            token = shared.token(asked.get("scope", []), self.headers.get("Authorization", ""))
            body = json.dumps({"token": token} if token else {"details": "who are you?"}).encode()
            self.send_response(200 if token else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            """Engines ask so first (OAuth2); whoever does not know it, says 404, and is asked with GET."""
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the test reads `given`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        shared.realm = f"http://127.0.0.1:{server.server_port}/token"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield shared
        finally:
            server.shutdown()
            thread.join()
