"""Parsers of what comes from outside, each with good examples, and bytes that resemble them.

A unit test tries a sample with a printed seed; `nox -s soak -- tests/soak/soak_fuzz.py` tries many. Whatever
the bytes are, a parser returns, or raises the errors that are named with it, with a text of bounded length.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from release import config
from release.chain.testing import junit
from release.deploy.core.lock import Holder
from release.deploy.core.lock_store import Kept
from release.deploy.environment import journal
from release.errors import ReleaseError
from release.images.dockerignore import Ignore
from release.images.engine.answer_stream import frame_payloads, parse_transfer_messages
from release.images.imageconfig import diff_ids, own_layers
from release.images.registry.address import Address, redirect_address
from release.images.registry.auth import Login
from release.images.registry.error_text import error_codes, registry_error_text
from release.images.registry.http import Answer, Request
from release.images.registry.manifest import Manifest
from release.images.registry.retry import retry_after, wait_time_text
from release.images.registry.tags import next_link, parse_tags
from release.images.values import container_state, read_publisher, stored_image
from release.parsing import jsontext, tomltext
from release.records import parse
from release.reference import Repository
from tests.unit.ledger import samples

LONGEST_TEXT = 5_000
"""Characters of an error."""

AT = Address.parse("https://registry.example/v2/a")
RECORD = samples.release("1.4.2").at(1, None).to_bytes()
EVENT = samples.event("1" * 64).at(2, "a" * 64).to_bytes()


class Parser(NamedTuple):
    """A function, good examples of its input, and the errors that it may raise."""

    call: Callable[[bytes], object]
    examples: list[bytes]
    errors: tuple[type[Exception], ...] = (ReleaseError,)


def _text(content: bytes) -> str:
    return content.decode("latin-1")


def _answer(content: bytes, **headers: str) -> Answer:
    return Answer(status=429, url=AT.text, headers=headers, content=content)


def _token(content: bytes) -> None:
    def answered(_request: Request, _attempted: str) -> Answer:
        return _answer(content)

    Login(Repository("registry.example/a"), answered).introduce('Bearer realm="https://t.example/"')


def _challenge(content: bytes) -> None:
    def answered(_request: Request, _attempted: str) -> Answer:
        return _answer(b'{"token": "a"}')

    Login(Repository("registry.example/a"), answered).introduce(_text(content))


def _pause(content: bytes) -> None:
    text = _text(content)
    assert (retry_after(text) or 0.0) <= 10**12
    wait_time_text(_answer(b"", **{"Retry-After": text, "RateLimit-Remaining": text}))


def _holder(content: bytes) -> None:
    keys = Holder.__struct_fields__
    holder = Holder.parse(
        Kept(id="", metadata={f"release.lock.{key}": _text(content) for key in keys}, payload=_text(content))
    )
    journal.read(holder.journal)
    holder.expired(datetime.now(UTC))
    holder.dead()


def _of_engine(read: Callable[[Any], object]) -> Callable[[bytes], object]:
    def call(content: bytes) -> object:
        data = json.loads(content, parse_int=lambda text: int(text[:30]))
        return read(data)

    return call


STRANGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""What an engine's answer may raise; the connection makes an EngineError of it."""

MANIFEST = json.dumps(
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": [],
     "config": {"digest": f"sha256:{'0' * 64}", "size": 1, "mediaType": "x"}}
).encode()  # fmt: skip
CONTAINER = json.dumps(
    {"Id": "a", "Name": "/a", "Image": f"sha256:{'0' * 64}", "Config": {"Labels": {"a": "b"}}, "Path": "x",
     "State": {"Status": "running", "ExitCode": 0, "OOMKilled": False, "StartedAt": "2026-11-20T10:00:00Z"},
     "HostConfig": {"NetworkMode": "bridge"},
     "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "8"}]}, "Networks": {}}}
).encode()  # fmt: skip

CONFIGURATION = b"""[tool.release]
service = "api"
[tool.release.smoke]
port = 8000
[tool.release.environments.p]
cpus = 1.5
env = { A = "b" }
"""

PARSERS: dict[str, Parser] = {
    "JSON": Parser(jsontext.read, [RECORD, b'[1, -2.5e3, "\\ud83d\\ude00", {"a": null}]'], (ValueError,)),
    "TOML": Parser(tomltext.read, [b'[a.b]\nc = [1, 2.5, "x", {d = 2020-01-01}]\n'], (ValueError,)),
    "a configuration": Parser(
        lambda content: config.read({"pyproject.toml": content}.get),
        [CONFIGURATION],
    ),
    "a record": Parser(lambda content: parse(content, "records/a.json"), [RECORD, EVENT]),
    "a manifest": Parser(Manifest.parse, [MANIFEST]),
    "layers of a config": Parser(diff_ids, [b'{"rootfs": {"diff_ids": ["sha256:' + b"0" * 64 + b'"]}}']),
    "history of a config": Parser(
        lambda content: own_layers(content, 0), [b'{"history": [{"created": "x"}]}']
    ),
    "tags": Parser(
        lambda content: parse_tags(_answer(content), "list"), [b'{"name": "a", "tags": ["1", "b"]}']
    ),
    "a refusal": Parser(
        lambda content: (registry_error_text(content), error_codes(content)),
        [b'{"errors": [{"code": "A", "message": "b"}]}'],
        (),
    ),
    "a next page": Parser(lambda content: next_link(_text(content)), [b'</v2/a?last=b&n=1>; rel="next"'], ()),
    "a redirect": Parser(
        lambda content: redirect_address("GET", AT, _text(content), 307, stays=False),
        [b"/a", b"https://storage.example:8443/a?b=c", b"https://[2001:db8::1]:80/"],
        (ValueError,),
    ),
    "a challenge": Parser(
        _challenge, [b'Bearer realm="https://t.example/t",service="a",scope="b"', b"Basic"]
    ),
    "a token": Parser(_token, [b'{"token": "abc", "expires_in": 60}', b'{"access_token": "a"}']),
    "a pause": Parser(_pause, [b"120", b"Fri, 20 Nov 2026 10:00:00 GMT", b"0;w=21600"], ()),
    "a lock's holder": Parser(_holder, [b"2026-11-20T10:00:00+00:00", b"123", EVENT], ()),
    "a journal": Parser(lambda content: journal.read(_text(content)), [EVENT], ()),
    "a Dockerfile's ignore file": Parser(
        lambda content: Ignore(content).kept(["a/b.py", "c"]), [b"# x\n*\n!a/**\n[^a]*\\?\n"]
    ),
    "a JUnit report": Parser(
        lambda content: junit.parse_report(junit.decode_report(content)),
        [b'<testsuite><testcase name="a" line="5"><failure message="b">c</failure></testcase></testsuite>'],
        (ValueError,),
    ),
    "a container": Parser(_of_engine(container_state), [CONTAINER], STRANGE),
    "an image": Parser(
        _of_engine(stored_image),
        [b'{"Id": "sha256:' + b"0" * 64 + b'", "Size": 1, "RepoTags": ["a:1"]}'],
        STRANGE,
    ),
    "a publisher": Parser(
        _of_engine(read_publisher), [b'{"Names": ["/a"], "Ports": [{"PublicPort": 80}]}'], STRANGE
    ),
    "a transfer": Parser(
        lambda content: list(parse_transfer_messages([content])),
        [b'{"status": "x"}\r\n{"id": "a"}\n'],
        (ValueError,),
    ),
    "frames": Parser(lambda content: list(frame_payloads([content])), [b"\x01\0\0\0\0\0\0\x02ab"], ()),
}

PIECES = [b"", b"\0", b"\xff", b'"', b"\\", b"[", b"]", b"{", b"}", b",", b":", b"9" * 40, b"NaN", b"1e999",
          b"\\ud800", b"[" * 200, b'{"a":' * 200, b"null", b"-1", b"true", b"\n", b"%", b"@", b"//"]  # fmt: skip  # noqa: E501


def resembling(examples: list[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes like one of the examples: cut, doubled, and with pieces in the place of others; or any bytes."""

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        content = draw(st.sampled_from(examples))
        for _ in range(draw(st.integers(0, 4))):
            at, size = draw(st.integers(0, len(content))), draw(st.integers(0, 12))
            piece = draw(st.sampled_from(PIECES) | st.binary(max_size=8))
            content = content[:at] + piece + content[at + size :]
        return content

    return changed() | st.binary(max_size=60)


def check(parser: Parser, content: bytes) -> None:
    """Raise AssertionError, or what the parser may not raise."""
    try:
        parser.call(content)
    except parser.errors as error:
        if len(str(error)) > LONGEST_TEXT:
            raise AssertionError(f"a text of {len(str(error))} characters") from None


def fuzz(parser: Parser, examples: int) -> None:
    """Try so many inputs. RELEASE_FUZZ_SEED repeats a run."""
    chosen = int(os.environ.get("RELEASE_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    print(f"RELEASE_FUZZ_SEED={chosen}")

    @seed(chosen)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(resembling(parser.examples))
    def try_one(content: bytes) -> None:
        check(parser, content)

    try_one()
