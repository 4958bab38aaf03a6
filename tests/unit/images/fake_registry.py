"""A registry of a few lines that refuses what it does not expect."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from release.images.registry import OCI_MANIFEST
from release.reference import Digest, Repository

ALL_TYPES = 4
"""How many media types a client accepts that knows its trade."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, as it came."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class FakeRegistry:
    """Manifests and blobs of one repository, `acme/api`, and the faults a test asks for."""

    host: str = ""
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """By tag or digest: media type and bytes."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    auth: str = ""
    """"basic", "bearer", or nothing."""
    user: tuple[str, str] = ("me", "pw")
    identity_token: str = ""
    faults: list[Answer] = field(default_factory=list)
    """Given out first, one per request to /v2/acme/."""
    token_faults: list[Answer] = field(default_factory=list)
    """Given out first by the token server."""
    requests: list[Request] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    """Scopes of the tokens given out."""
    lies_about_digest: bool = False
    forgets_what_is_put: bool = False
    knows_ranges: bool = True
    deletes: bool = True
    reads_only: bool = False
    """True: this login may pull and not push."""
    tags_on_a_page: int = 1000
    uploads: set[str] = field(default_factory=set)
    """Begun, and not taken back."""

    @property
    def repository(self) -> Repository:
        """The one repository."""
        return Repository(f"{self.host}/acme/api")

    def add(self, content: bytes, *names: str, media_type: str = OCI_MANIFEST) -> Digest:
        """Keep a manifest under these tags and under its digest."""
        digest = Digest.of(content)
        for name in (digest.text, *names):
            self.manifests[name] = (media_type, content)
        return digest

    def paths(self, method: str) -> list[str]:
        """What was asked with this method."""
        return [request.path for request in self.requests if request.method == method]

    # answers

    def answer(self, request: Request) -> Answer:
        """The answer to a request."""
        self.requests.append(request)
        if request.path == "/token":
            return self.token_faults.pop(0) if self.token_faults else self._token(request)
        if not self._knows(request):
            return self._challenge(request)
        if request.path == "/v2/":
            return Answer(status=200, body=b"{}")
        if not request.path.startswith("/v2/acme/api/"):
            return refusal(404, "NAME_UNKNOWN", "repository name not known to registry")
        if self.faults:
            return self.faults.pop(0)
        if self.reads_only and request.method not in ("GET", "HEAD"):
            return refusal(403, "DENIED", "requested access to the resource is denied")
        if request.path == "/v2/acme/api/tags/list":
            return self._tags(request)
        if request.path.startswith("/v2/acme/api/blobs/uploads/"):
            return self._upload(request)
        kind, _, name = request.path.removeprefix("/v2/acme/api/").partition("/")
        return self._manifest(request, name) if kind == "manifests" else self._blob(request, name)

    def _manifest(self, request: Request, name: str) -> Answer:
        if request.method == "PUT":
            return self._put(request, name)
        if request.method == "DELETE":
            return self._delete(name)
        if request.headers.get("Accept", "").count("application/vnd.") != ALL_TYPES:
            return refusal(400, "UNSUPPORTED", "this client accepts too little")
        if name not in self.manifests:
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        media_type, content = self.manifests[name]
        digest = Digest.of(b"a lie" if self.lies_about_digest else content)
        return Answer(
            status=200,
            body=content,
            headers={"Content-Type": media_type, "Docker-Content-Digest": digest.text},
        )

    def _delete(self, name: str) -> Answer:
        if not self.deletes:
            return refusal(405, "UNSUPPORTED", "the operation is unsupported")
        gone = [each for each, (_, content) in self.manifests.items() if Digest.of(content).text == name]
        for each in gone:
            del self.manifests[each]
        return Answer(status=202 if gone else 404)

    def _tags(self, request: Request) -> Answer:
        """One page, after `last`; the next one's address is relative, as Distribution gives it."""
        after = request.query.get("last", [""])[0]
        names = sorted(name for name in self.manifests if ":" not in name and name > after)
        page, rest = names[: self.tags_on_a_page], names[self.tags_on_a_page :]
        link = f'</v2/acme/api/tags/list?last={page[-1]}&n={self.tags_on_a_page}>; rel="next"' if rest else ""
        return Answer(
            status=200,
            body=json.dumps({"name": "acme/api", "tags": page or None}).encode(),
            headers={"Link": link} if link else {},
        )

    def _upload(self, request: Request) -> Answer:
        """Begin one, or take it back."""
        if request.method == "POST":
            self.uploads.add("1")
            return Answer(status=202, headers={"Location": f"{request.path}1?_state=x"})
        self.uploads.remove(request.path.rpartition("/")[2])
        if request.method == "PUT":
            self.blobs[request.query["digest"][0]] = request.body
            return Answer(status=201)
        return Answer(status=204)

    def _put(self, request: Request, name: str) -> Answer:
        if ":" in name and Digest.of(request.body).text != name:
            return refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        if not self.forgets_what_is_put:
            self.add(request.body, name, media_type=request.headers["Content-Type"])
        return Answer(status=201)

    def _blob(self, request: Request, name: str) -> Answer:
        if name not in self.blobs:
            return refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
        content, asked = self.blobs[name], request.headers.get("Range")
        if asked is None or not self.knows_ranges:
            return Answer(status=200, body=content)
        return Answer(status=206, body=content[int(asked.removeprefix("bytes=").rstrip("-")) :])

    # who asks

    def _knows(self, request: Request) -> bool:
        given = request.headers.get("Authorization", "")
        if self.auth == "basic":
            return given == self._basic
        if self.auth == "bearer":
            return given == f"Bearer token-for-{self._scope(request)}"
        return given == ""

    @property
    def _basic(self) -> str:
        return "Basic " + base64.b64encode(":".join(self.user).encode()).decode()

    def _scope(self, request: Request) -> str:
        if request.path == "/v2/":
            return ""
        return f"repository:acme/api:{'pull,push' if request.method == 'PUT' else 'pull'}"

    def _challenge(self, request: Request) -> Answer:
        if self.auth == "basic":
            challenge = 'Basic realm="tests"'
        else:
            scope = self._scope(request)
            challenge = f'Bearer realm="http://{self.host}/token",service="tests"' + (
                f',scope="{scope}"' if scope else ""
            )
        return refusal(401, "UNAUTHORIZED", "authentication required", **{"WWW-Authenticate": challenge})

    def _token(self, request: Request) -> Answer:
        form = parse_qs(request.body.decode()) if request.method == "POST" else request.query
        if self.identity_token:
            allowed = form.get("refresh_token") == [self.identity_token]
        else:
            allowed = request.headers.get("Authorization") == self._basic
        if not allowed or form.get("service") != ["tests"]:
            return refusal(401, "UNAUTHORIZED", "no such user")
        scope = form.get("scope", [""])[0]
        self.tokens.append(scope)
        key = "access_token" if request.method == "POST" else "token"
        return Answer(status=200, body=json.dumps({key: f"token-for-{scope}"}).encode())


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    """An error as registries write it (OCI Distribution, "Error Codes")."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Answer(status=status, body=body, headers=headers)


@contextmanager
def serving(fake: FakeRegistry) -> Iterator[FakeRegistry]:
    """The fake on a free port of 127.0.0.1, over plain HTTP, while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = fake.answer(
                Request(
                    method=self.command,
                    path=parts.path,
                    query=parse_qs(parts.query),
                    headers=dict(self.headers.items()),
                    body=body,
                )
            )
            self.send_response(answer.status)
            for key, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815 - the base class looks for these

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
