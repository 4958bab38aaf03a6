# ruff: noqa: SIM117 - a server around its client
"""A registry, a token server or a proxy before them that answers anything: each answer has its limits."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release.errors import Cancelled, RegistryError, RegistryUnreachable
from release.images.registry import CALM, OCI_MANIFEST, Blob, Manifest, Pace, Registry
from release.images.registry.address import Address, redirect_address
from release.images.registry.auth import Login
from release.images.registry.http import Answer, Request
from release.images.registry.retry import retry_after, wait_time_text
from release.programs.cancellation import Cancellation
from release.reference import Digest, Repository
from release.retry import RetryPolicy
from release.values import replace
from tests.unit.images.hostile import Hostile, attacking, whole

QUICK = replace(
    CALM,
    seconds=(5.0, 5.0),
    patience=RetryPolicy(attempts=1, first=0.01, longest=0.01),
    answer=1.0,
    total=1.0,
)
"""One attempt of one second."""
ROOMY = replace(QUICK, answer=60.0, total=60.0)
"""One attempt without haste: what ends here is ended by another limit than the time."""
MEGABYTE = b"x" * 1_000_000
ENDLESS_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REALM = "https://tokens.example/token"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DOCKER_CONFIG of this test's own."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def client_of(server: Hostile, pace: Pace = ROOMY) -> Registry:
    """A client of the server's repository."""
    return Registry(Repository(f"{server.host}/acme/api"), pace=pace)


def chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A body without a length."""
    yield ENDLESS_HEAD
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)


ENDLESS: dict[str, Callable[[Registry], object]] = {
    "a manifest": lambda client: client.manifest(client_reference(client)),
    "a digest": lambda client: client.digest(client_reference(client)),
    "tags": lambda client: client.tags(),
    "a ping": lambda client: client.ping(),
}


def client_reference(client: Registry):  # type: ignore[no-untyped-def]
    """The tag 1 of the client's repository."""
    return client._repository.tagged("1")


@pytest.mark.parametrize("ask", ENDLESS.values(), ids=ENDLESS.keys())
@pytest.mark.attack(
    "A registry sends a manifest or a list of tags without an end",
    "An answer of more than 4 MiB is refused while it comes",
)
def test_an_endless_answer_is_refused(ask: Callable[[Registry], object]) -> None:
    """Not much more than the limit is taken."""
    with attacking(lambda _request: chunked(itertools.repeat(MEGABYTE))) as server:
        with closing(client_of(server)) as client, pytest.raises(RegistryError, match="larger than 4194304"):
            ask(client)
        assert server.sent < 40_000_000


@pytest.mark.attack(
    "A registry sends a gzip bomb although no packing was asked for",
    "A packed answer is refused before it is unpacked",
)
def test_a_packed_answer_is_refused() -> None:
    """Whatever it would unpack to."""
    bomb = gzip.compress(b" " * 10_000_000)
    with attacking(lambda _request: [whole(bomb, "Content-Encoding: gzip")]) as server:
        with closing(client_of(server)) as client, pytest.raises(RegistryError, match=r"compressed \(gzip\)"):
            client.tags()


DRIPS: dict[str, bytes] = {
    "a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "a body without a length": ENDLESS_HEAD,
    "the length of a chunk": ENDLESS_HEAD + b"5;",
    "headers": b"HTTP/1.1 200 OK\r\nX: ",
    "a status": b"HTTP/1.1 ",
    "nothing": b"",
}


@pytest.mark.parametrize("begin", DRIPS.values(), ids=DRIPS.keys())
@pytest.mark.attack(
    "A registry sends one byte every few seconds",
    "Each answer and each question has a total time; then it is given up",
)
def test_an_answer_that_drips_is_given_up(begin: bytes) -> None:
    """The time between two bytes is short enough; the whole is not."""

    def script(_request: str) -> Iterator[bytes]:
        yield begin
        while True:
            yield server.wait()

    with attacking(script) as server, closing(client_of(server, QUICK)) as client:
        with pytest.raises(RegistryUnreachable, match="in time"):
            client.tags()


@pytest.mark.attack(
    "A signal comes while a registry sends one byte after the other", "The wait ends within a second"
)
def test_a_cancellation_is_heard_in_the_middle_of_an_answer() -> None:
    """Not only between two attempts."""
    cancellation = Cancellation()

    def script(_request: str) -> Iterator[bytes]:
        yield DRIPS["a body"]
        cancellation.request("interrupted")
        while True:
            yield server.wait()

    with attacking(script) as server:
        repository = Repository(f"{server.host}/acme/api")
        with closing(Registry(repository, cancellation=cancellation, pace=ROOMY)) as client:
            with pytest.raises(Cancelled):
                client.tags()


HEADERS: dict[str, list[bytes]] = {
    "many": [b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"a" * 60_000 + b"\r\n"] * 90, b"\r\n"],
    "one": [b"HTTP/1.1 200 OK\r\nX: ", MEGABYTE, MEGABYTE, b"\r\n\r\n"],
    "a thousand": [b"HTTP/1.1 200 OK\r\n", b"X: a\r\n" * 1000, b"\r\n"],
    "interim answers": [b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000],
}


@pytest.mark.parametrize("pieces", HEADERS.values(), ids=HEADERS.keys())
@pytest.mark.attack(
    "A registry sends megabytes of headers, or interim answers without an end",
    "More than 256 KiB before the body is refused",
)
def test_large_headers_are_refused(pieces: list[bytes]) -> None:
    """With a sentence."""
    with attacking(lambda _request: pieces) as server, closing(client_of(server)) as client:
        with pytest.raises(RegistryError) as caught:
            client.tags()
        assert "Traceback" not in str(caught.value)
        assert len(str(caught.value)) < 1000


@pytest.mark.attack(
    "A registry names a next page of tags for ever", "More than 1000 pages or 100000 tags are refused"
)
@pytest.mark.parametrize(
    ("on_a_page", "words"), [(1, "more than 1000 pages"), (5000, "more than 100000 tags")]
)
def test_endless_pages_are_refused(on_a_page: int, words: str) -> None:
    """Each page has new tags."""
    numbers = itertools.count()

    def script(_request: str) -> list[bytes]:
        tags = [f"t{next(numbers)}" for _ in range(on_a_page)]
        link = 'Link: </v2/acme/api/tags/list?last=x>; rel="next"'
        return [whole(json.dumps({"tags": tags}).encode(), link)]

    with attacking(script) as server, closing(client_of(server)) as client:
        with pytest.raises(RegistryError, match=words):
            client.tags()


BODIES = {
    "deep": b'{"errors":' + b"[" * 100_000,
    "deep and closed": b"[" * 50_000 + b"]" * 50_000,
    "not UTF-8": b'{"errors": [{"code": "\xff\xfe"}]}',
    "half a character": rb'{"errors": [{"code": "\ud800", "message": "\udfff"}]}',
    "large": b'{"errors": [' + b'{"code": "A", "message": "' + b"m" * 500_000 + b'"}]}',
    "other types": b'{"errors": [{"code": {"a": []}, "message": 7}, 3, null]}',
    "a huge number": b'{"errors": ' + b"9" * 10_000 + b"}",
    "not JSON": b"<html>",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("status", ["403 Forbidden", "500 Broken", "200 OK"])
@pytest.mark.attack(
    "A registry answers with deep, huge or broken JSON",
    "JSON is read within limits of size, depth and count; the error is one sentence",
)
def test_a_hostile_body_is_one_sentence(body: bytes, status: str) -> None:
    """A RegistryError of at most a thousand characters that can be written as UTF-8."""
    with attacking(lambda _request: [whole(body, status=status)]) as server:
        with closing(client_of(server)) as client, pytest.raises(RegistryError) as caught:
            client.tags()
    assert len(str(caught.value).encode("utf-8")) < 1000


@pytest.mark.parametrize(
    "realm",
    ["", "tokens", "//tokens.example", "https://", "https://[", "ftp://t.example/", "https://a b/", "https://t:x/",
     "https://t:99999999/", "https://me:pw@t.example/", "https://t\\@u.example/", "https://\u00fc\uff0f.example/",
     "https://" + "a" * 100_000, "file:///etc/passwd", "https://..", "https://*"],
    ids=lambda realm: realm[:20].encode("ascii", "replace").decode() or "empty",
)  # fmt: skip
@pytest.mark.attack(
    "A registry names a token server that is not an address",
    "The address is parsed before anything is sent; the error names it",
)
def test_a_token_server_without_an_address_is_refused(realm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence, and no request."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with closing(Registry(Repository("registry.example/acme/api"), pace=QUICK)) as client:
        with pytest.raises(RegistryError) as caught:
            client._with._login.introduce(f'Bearer realm="{realm}",service="x"')
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "realm", ["http://tokens.example/token", "http://127.0.0.1:9/token", "http://localhost/t"]
)
@pytest.mark.attack(
    "A registry names a token server without TLS",
    "A login leaves over TLS alone; this machine counts only for its own registry",
)
def test_a_login_does_not_leave_without_tls(realm: str) -> None:
    """Nothing is sent."""
    login = Login(Repository("registry.example/acme/api"), unasked)
    with pytest.raises(RegistryError, match="without TLS"):
        login.introduce(f'Bearer realm="{realm}"')


def unasked(request: Request, _attempted: str) -> Answer:
    """No request is expected."""
    raise AssertionError(request)


TOKENS = {
    "two headers": b'{"token": "a\\r\\nX-Evil: 1"}',
    "a list": b'{"token": ["a"]}',
    "a number": b'{"access_token": 5}',
    "other letters": '{"token": "ü\u2028"}'.encode(),
    "large": b'{"token": "' + b"a" * 100_000 + b'"}',
    "deep": b'{"token": ' + b"[" * 100_000,
    "none": b"{}",
    "not an object": b'"token"',
}


@pytest.mark.parametrize("body", TOKENS.values(), ids=TOKENS.keys())
@pytest.mark.attack(
    "A token server answers with something that is not a token, or that begins another header",
    "A token is printable ASCII of at most 64 KiB",
)
def test_something_else_is_not_a_token(body: bytes) -> None:
    """A sentence."""
    asked: list[Request] = []

    def answered(request: Request, _attempted: str) -> Answer:
        asked.append(request)
        return Answer(status=200, url=REALM, headers={}, content=body)

    login = Login(Repository("registry.example/acme/api"), answered)
    with pytest.raises(RegistryError):
        login.introduce(f'Bearer realm="{REALM}"')
    assert asked[0].stays
    assert login.value is None


@pytest.mark.parametrize(
    "text",
    ["9" * 400, "99999999999999", "-1", "-99999999999", "NaN", "nan", "inf", "1e309", "²", "1.5", "",
     "Mon, 99 Nov 99999 99:99:99 GMT", "Mon, 30 Nov 2026 01:00:00 +999999", "(" * 10_000, "0x10", "\u0661"],
    ids=lambda text: ascii(text[:20]),
)  # fmt: skip
@pytest.mark.attack(
    "A registry asks for a pause that is huge, negative, or not a time",
    "A senseless pause is not made; a long one ends the work with its error",
)
def test_a_senseless_pause_is_a_number_of_seconds_or_none(text: str) -> None:
    """Never infinite, never negative; the sentence stays short."""
    found = retry_after(text)
    assert found is None or 0 <= found <= 10**12
    answer = Answer(
        status=429, url=REALM, headers={"Retry-After": text, "RateLimit-Remaining": f"0;w={text}"}
    )
    words = wait_time_text(answer)
    assert len(words) < 60
    assert "inf" not in words


LIES = {
    "a size": {"size": -1},
    "no size": {"size": "6"},
    "half a byte": {"size": 6.5},
    "yes": {"size": True},
    "a digest": {"digest": "sha256:" + "G" * 64},
    "a list": {"digest": ["sha256:" + "0" * 64]},
    "a long digest": {"digest": "sha256:" + "0" * 1_000_000},
    "a type": {"mediaType": {}},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
@pytest.mark.attack(
    "A manifest holds sizes, digests and types that are none",
    "A descriptor is read strictly; anything else is a damaged manifest",
)
def test_a_descriptor_is_read_strictly(lie: dict[str, object]) -> None:
    """For the config and for the layers."""
    good = {"mediaType": "x", "digest": Digest.of(b"").text, "size": 0}
    for changed in ({"config": good | lie, "layers": []}, {"config": good, "layers": [good | lie]}):
        with pytest.raises(RegistryError) as caught:
            Manifest.parse(json.dumps(changed).encode(), OCI_MANIFEST)
        assert len(str(caught.value)) < 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["config", "layers", "mediaType", "digest", "size", "manifests"]), inner
        )
    ),
    max_leaves=8,
)


@given(
    JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50),
    st.none() | st.text(max_size=20),
)
def test_any_manifest_is_read_or_refused(content: bytes, sent_as: str | None) -> None:
    """Nothing but a RegistryError comes out."""
    try:
        Manifest.parse(content, sent_as)
    except RegistryError:
        return


@pytest.mark.attack(
    "A registry sends more bytes of a blob than its manifest says",
    "The stream ends at the size of the descriptor",
)
def test_a_blob_ends_at_its_size() -> None:
    """An endless layer, and an endless config."""
    blob = Blob(digest=Digest.of(b"x"), size=1000, media_type="x")
    with attacking(lambda _request: chunked(itertools.repeat(MEGABYTE))) as server:
        with closing(client_of(server)) as client:
            with (
                pytest.raises(RegistryError, match="larger than its manifest states"),
                client.blob(blob) as stream,
            ):
                stream.read()
            with pytest.raises(RegistryError, match="larger than its manifest states"):
                client.document(blob)
            with pytest.raises(RegistryError, match="a config has at most"):
                client.document(replace(blob, size=10**12))


# --- redirects and logins

AT = Address.parse("https://registry.example/v2/a")


@pytest.mark.parametrize(
    ("method", "status", "stays", "place", "is_followed"),
    [
        ("GET", 307, False, "https://storage.example/a?signature=x", True),
        ("HEAD", 302, False, "https://storage.example/a", True),
        ("GET", 302, False, "/v2/b", True),
        ("GET", 302, True, "/v2/b", True),
        ("POST", 307, True, "https://registry.example:443/b", True),
        ("POST", 302, True, "/v2/b", False),
        ("PUT", 307, False, "https://storage.example/a", False),
        ("GET", 307, True, "https://storage.example/a", False),
        ("GET", 307, True, "https://registry.example:8443/a", False),
        ("GET", 307, False, "http://registry.example/v2/a", False),
        ("GET", 307, False, "http://storage.example/a", False),
        ("GET", 307, False, "http://127.0.0.1/a", False),
        ("GET", 307, False, "https://localhost/a", False),
        ("GET", 307, False, "file:///etc/passwd", False),
        ("GET", 307, False, "https://me:pw@storage.example/a", False),
        ("GET", 307, False, "//[", False),
        ("GET", 307, False, "", False),
    ],
)
@pytest.mark.attack(
    "A registry or a token server with TLS redirects to plain http, or to another host",
    "A login follows no redirect to another scheme or host; a download goes on over TLS alone, "
    "without the login",
)
def test_a_redirect_is_followed_where_it_may(
    method: str, status: int, stays: bool, place: str, is_followed: bool
) -> None:
    """A signature in an address is not shown."""
    if is_followed:
        redirect_address(method, AT, place, status, stays=stays)
        return
    with pytest.raises(ValueError, match=r"redirects|address|login") as caught:
        redirect_address(method, AT, place, status, stays=stays)
    assert "signature" not in str(caught.value)


def log_in(settings: Path, host: str) -> None:
    """What `docker login` would have left."""
    settings.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(b"me:pw").decode()}}}))


@pytest.mark.attack(
    "A storage server that a registry redirects to asks for a login",
    "The login of a registry goes to its own scheme, host and port alone",
)
def test_a_login_is_not_sent_on(settings: Path) -> None:
    """Neither with the redirect nor when the other server asks for it."""
    ask = "WWW-Authenticate: Basic realm=x"
    with attacking(lambda _request: [whole(b"", ask, status="401 Who")]) as other:

        def script(request: str) -> list[bytes]:
            if "Authorization" not in request:
                return [whole(b"", ask, status="401 Who")]
            return [whole(b"", f"Location: http://{other.host}/x", status="307 There")]

        with attacking(script) as server, closing(client_of(server)) as client:
            log_in(settings, server.host)
            with pytest.raises(RegistryError, match="401"):
                client.tags()
            assert any("Authorization: Basic" in request for request in server.requests)
    assert other.requests
    assert not [request for request in other.requests if "authorization" in request.lower()]


@pytest.mark.attack(
    "A login stands in ~/.netrc for the host of a registry, or for the host that it redirects to",
    "A registry's login comes from Docker's configuration alone",
)
def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for the registry, and not after a redirect."""
    file = tmp_path / "netrc"
    file.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(file))
    with attacking(lambda _request: [whole(b'{"tags": null}')]) as other:
        place = f"Location: http://{other.host}/v2/acme/api/tags/list"
        with attacking(lambda _request: [whole(b"", place, status="307 There")]) as server:
            with closing(client_of(server)) as client:
                assert client.tags() == ()
            requests = [*server.requests, *other.requests]
    assert len(requests) >= 2
    assert not [request for request in requests if "authorization" in request.lower()]


@pytest.mark.attack("A registry redirects in a circle", "Five redirects are followed")
def test_a_circle_of_redirects_ends() -> None:
    """Each with a body without an end, which is not read."""
    head = b"HTTP/1.1 307 There\r\nLocation: /v2/x\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless = itertools.repeat(b"f4240\r\n" + MEGABYTE + b"\r\n")
    with attacking(lambda _request: itertools.chain([head], endless)) as server:
        with closing(client_of(server)) as client, pytest.raises(RegistryError, match="more than 5 times"):
            client.tags()
        assert server.sent < 100_000_000


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY is asked for a host; NO_PROXY leaves a host out."""
    refuse = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"
    with attacking(lambda _request: [refuse]) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        monkeypatch.setenv("NO_PROXY", "other.invalid")
        for name in ("registry.invalid", "other.invalid"):
            with closing(Registry(Repository(f"{name}/acme/api"), pace=QUICK)) as client:
                with pytest.raises(RegistryUnreachable):
                    client.ping()
        assert [request.split()[1] for request in proxy.requests] == ["registry.invalid:443"]


@pytest.mark.attack(
    "A proxy of the environment answers with headers without an end",
    "The answer of a proxy has the limits of a registry's answer",
)
def test_a_hostile_proxy_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel that is never opened."""
    script = lambda _request: itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X: y\r\n" * 1000))  # noqa: E731
    with attacking(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.host}")
        with closing(Registry(Repository("registry.invalid/acme/api"), pace=ROOMY)) as client:
            with pytest.raises(RegistryError, match="headers are larger"):
                client.ping()
