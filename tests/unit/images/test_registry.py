"""The registry client against a small registry that refuses what it does not expect."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from release.errors import Cancelled, RegistryError, RegistryUnreachable
from release.images.registry import (
    CALM,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    PRESSED,
    Blob,
    Manifest,
    Registry,
    is_loopback,
    retry,
)
from release.programs.cancellation import Cancellation
from release.reference import Digest, Repository
from release.retry import RetryPolicy
from release.values import replace
from tests.unit.images.fake_registry import Answer, FakeRegistry, refusal, serving

LAYER = b"layer"
IN_A_DAY = datetime.now(UTC) + timedelta(days=1)


def image(**changes: Any) -> bytes:
    """An image manifest of one layer."""
    data = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "x/config", "digest": Digest.of(b"config").text, "size": 6},
        "layers": [{"mediaType": "x/layer", "digest": Digest.of(LAYER).text, "size": len(LAYER)}],
        **changes,
    }
    return json.dumps({key: value for key, value in data.items() if value is not None}).encode()


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DOCKER_CONFIG of this test's own."""
    folder = tmp_path / "docker"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder / "config.json"


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    """An empty registry."""
    with serving(FakeRegistry()) as running:
        yield running


@pytest.fixture
def client(fake: FakeRegistry) -> Iterator[Registry]:
    """A client of it."""
    made = Registry(fake.repository)
    yield made
    made.close()


def login(settings: Path, fake: FakeRegistry, **entry: str) -> None:
    """What `docker login` would have left."""
    known = entry or {"auth": base64.b64encode(":".join(fake.user).encode()).decode()}
    settings.write_text(json.dumps({"auths": {fake.host: known}}))


# --- manifests


def test_a_manifest_says_what_it_is_made_of() -> None:
    """Digest of the bytes, media type, config and layers."""
    manifest = Manifest.parse(image(), OCI_MANIFEST)
    assert manifest.digest == Digest.of(image())
    assert manifest.config == Blob(digest=Digest.of(b"config"), size=6, media_type="x/config")
    assert [layer.digest for layer in manifest.layers] == [Digest.of(LAYER)]


@pytest.mark.parametrize(
    ("within", "sent_as", "expected"),
    [
        (OCI_MANIFEST, None, OCI_MANIFEST),
        (None, None, OCI_MANIFEST),
        (None, OCI_MANIFEST, OCI_MANIFEST),
        (DOCKER_MANIFEST, DOCKER_MANIFEST, DOCKER_MANIFEST),
    ],
)
def test_the_media_type_is_known(within: str | None, sent_as: str | None, expected: str) -> None:
    """As it was sent, or as it says itself; an OCI manifest need not say."""
    assert Manifest.parse(image(mediaType=within), sent_as).media_type == expected


def test_an_image_may_have_no_layers() -> None:
    """Programs written in Go put null there."""
    content = json.dumps({**json.loads(image()), "layers": None}).encode()
    assert Manifest.parse(content).layers == ()


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_is_not_taken_for_an_image(media_type: str) -> None:
    """It is named as what it is, with the way to build one image."""
    with pytest.raises(RegistryError, match="an index of several images") as caught:
        Manifest.parse(json.dumps({"mediaType": media_type, "manifests": []}).encode(), media_type)
    assert "--provenance=false" in caught.value.hint


def test_an_index_that_does_not_say_so_is_found_out() -> None:
    """`manifests` makes it one."""
    with pytest.raises(RegistryError, match="an index of several images"):
        Manifest.parse(b'{"schemaVersion":2,"manifests":[]}')


@pytest.mark.parametrize(
    ("content", "sent_as", "found"),
    [
        (b"<html>", None, "not JSON"),
        (b"[]", None, "not a JSON object"),
        (image(config=None), OCI_MANIFEST, "damaged"),
        (image(layers=[{"digest": "md5:1"}]), OCI_MANIFEST, "damaged"),
        (image(layers=3), OCI_MANIFEST, "damaged"),
        (image(), DOCKER_MANIFEST, "it was sent as"),
        (
            image(mediaType=None),
            "application/vnd.docker.distribution.manifest.v1+json",
            "not an image manifest",
        ),
    ],
)
def test_what_is_no_image_manifest_is_refused(content: bytes, sent_as: str | None, found: str) -> None:
    """Everything else is a RegistryError that says what was found."""
    with pytest.raises(RegistryError, match=found) as caught:
        Manifest.parse(content, sent_as)
    assert caught.value.hint


# --- reading


def test_a_manifest_is_read_by_tag_and_by_digest(fake: FakeRegistry, client: Registry) -> None:
    """With all four media types accepted, or the fake refuses."""
    digest = fake.add(image(), "1.0.0")
    by_tag = client.manifest(fake.repository.tagged("1.0.0"))
    by_digest = client.manifest(fake.repository.at(digest))
    assert by_tag == by_digest == Manifest.parse(image(), OCI_MANIFEST)


def test_what_is_not_there_is_none(fake: FakeRegistry, client: Registry) -> None:
    """404 is an answer, not an error."""
    assert client.manifest(fake.repository.tagged("1.0.0")) is None
    assert not client.has_blob(Digest.of(LAYER))


def test_other_bytes_than_asked_for_are_refused(fake: FakeRegistry, client: Registry) -> None:
    """The body is hashed here; a digest in the URL proves nothing."""
    digest = fake.add(image())
    fake.manifests[digest.text] = (OCI_MANIFEST, image() + b" ")
    with pytest.raises(RegistryError, match=f"not to {digest}"):
        client.manifest(fake.repository.at(digest))


def test_a_registry_that_names_another_digest_is_not_trusted(fake: FakeRegistry, client: Registry) -> None:
    """Docker-Content-Digest must be that of the body."""
    fake.add(image(), "1.0.0")
    fake.lies_about_digest = True
    with pytest.raises(RegistryError, match=str(Digest.of(b"a lie"))):
        client.manifest(fake.repository.tagged("1.0.0"))


def test_a_refusal_is_told_in_the_registrys_words(fake: FakeRegistry, client: Registry) -> None:
    """Status, code and message; for 403 the hint is to log in, with an account that may."""
    fake.faults = [refusal(403, "DENIED", "requested access to the resource is denied")]
    with pytest.raises(RegistryError, match="403: DENIED requested access") as caught:
        client.manifest(fake.repository.tagged("1.0.0"))
    assert caught.value.hint.startswith(f"docker login {fake.host}, with an account that may")


def test_a_refusal_without_words_is_told_too(fake: FakeRegistry, client: Registry) -> None:
    """A proxy's page of HTML adds nothing."""
    fake.faults = [Answer(status=418, body=b"<html>")]
    with pytest.raises(RegistryError) as caught:
        client.manifest(fake.repository.tagged("1.0.0"))
    assert caught.value.found == "the registry answers 418"


# --- promoting


def test_a_manifest_is_put_under_a_tag_byte_for_byte(fake: FakeRegistry, client: Registry) -> None:
    """The same bytes and media type, once; a second time nothing is written."""
    content = image(mediaType=DOCKER_MANIFEST)
    manifest = Manifest.parse(content, DOCKER_MANIFEST)
    client.put_manifest(manifest, "1.0.0")
    client.put_manifest(manifest, "1.0.0")
    assert fake.manifests["1.0.0"] == (DOCKER_MANIFEST, content)
    assert fake.paths("PUT") == ["/v2/acme/api/manifests/1.0.0"]


def test_a_tag_is_not_moved(fake: FakeRegistry, client: Registry) -> None:
    """Another digest under the tag: both are named, and nothing is written."""
    there = fake.add(image() + b" ", "1.0.0")
    manifest = Manifest.parse(image(), OCI_MANIFEST)
    with pytest.raises(RegistryError) as caught:
        client.put_manifest(manifest, "1.0.0")
    assert there.text in str(caught.value)
    assert manifest.digest.text in str(caught.value)
    assert fake.paths("PUT") == []


def test_a_registry_that_forgets_is_found_out(fake: FakeRegistry, client: Registry) -> None:
    """201 is not believed: what was put is read back."""
    fake.forgets_what_is_put = True
    with pytest.raises(RegistryError, match="does not have it"):
        client.put_manifest(Manifest.parse(image(), OCI_MANIFEST), "1.0.0")


# --- blobs


def test_a_blob_is_looked_for_without_reading_it(fake: FakeRegistry, client: Registry) -> None:
    """HEAD is enough."""
    fake.blobs[Digest.of(LAYER).text] = LAYER
    assert client.has_blob(Digest.of(LAYER))
    assert fake.paths("HEAD") == [f"/v2/acme/api/blobs/{Digest.of(LAYER)}"]


def blob_of(content: bytes) -> Blob:
    return Blob(digest=Digest.of(content), size=len(content), media_type="x/layer")


def test_a_blob_is_a_stream(fake: FakeRegistry, client: Registry) -> None:
    """It may be read in parts, or not to its end."""
    fake.blobs[Digest.of(LAYER).text] = LAYER
    with client.blob(blob_of(LAYER)) as stream:
        assert (stream.read(2), stream.read()) == (LAYER[:2], LAYER[2:])
    with client.blob(blob_of(LAYER)) as stream:
        assert stream.read(1) == LAYER[:1]


def test_a_damaged_blob_is_refused_at_the_end(fake: FakeRegistry, client: Registry) -> None:
    """Also when nobody read what is damaged; a failure of the reader's own goes first."""
    fake.blobs[Digest.of(LAYER).text] = LAYER[:-1] + b"!"
    with pytest.raises(RegistryError, match="hash to"), client.blob(blob_of(LAYER)) as stream:
        stream.read(1)
    with pytest.raises(ZeroDivisionError), client.blob(blob_of(LAYER)):
        raise ZeroDivisionError


def cut(content: bytes, at: int) -> Answer:
    """The beginning of a blob; then the connection closes."""
    return Answer(
        status=200, body=content[:at], headers={"Content-Length": str(len(content)), "Connection": "close"}
    )


def test_a_blob_that_is_cut_short_goes_on_where_it_broke(fake: FakeRegistry) -> None:
    """The rest is asked for as a range, and the whole is hashed; each break is told."""
    told: list[str] = []
    content = b"0123456789" * 100
    fake.blobs[Digest.of(content).text] = content
    fake.faults = [cut(content, 300)]
    made = Registry(fake.repository, tell=told.append)
    with made.blob(blob_of(content)) as stream:
        assert stream.read() == content
    made.close()
    assert fake.requests[-1].headers["Range"] == "bytes=300-"
    (line,) = told
    assert "closed the connection; trying again" in line


def test_a_registry_without_ranges_sends_the_blob_again(fake: FakeRegistry, client: Registry) -> None:
    """What is known of it is passed over, not read twice."""
    content = b"0123456789" * 100
    fake.blobs[Digest.of(content).text] = content
    fake.knows_ranges = False
    fake.faults = [cut(content, 300)]
    with client.blob(blob_of(content)) as stream:
        assert stream.read() == content


def test_a_blob_that_is_cut_short_for_ever_is_unreachable(fake: FakeRegistry, client: Registry) -> None:
    """It is not begun without end."""
    fake.faults = [cut(LAYER * 3, 5)] * 9
    with pytest.raises(RegistryUnreachable, match="closed the connection"), client.blob(blob_of(LAYER * 3)):
        pass
    assert len(fake.faults) == 4


def test_a_blob_that_is_missing_is_refused_at_the_beginning(client: Registry) -> None:
    """The block is not entered."""
    with pytest.raises(RegistryError, match="BLOB_UNKNOWN"), client.blob(blob_of(LAYER)):
        raise AssertionError("there is nothing to read")


# --- who asks


def test_basic_authentication_uses_dockers_login(
    fake: FakeRegistry, client: Registry, settings: Path
) -> None:
    """Asked once, answered, and then sent along."""
    fake.auth = "basic"
    login(settings, fake)
    fake.add(image(), "1.0.0")
    reference = fake.repository.tagged("1.0.0")
    assert client.manifest(reference) == client.manifest(reference) != None  # noqa: E711
    assert ["Authorization" in request.headers for request in fake.requests] == [False, True, True]


def test_a_token_is_fetched_for_what_is_done(fake: FakeRegistry, client: Registry, settings: Path) -> None:
    """Reading asks for pull, writing for push; a token is used again while it does."""
    fake.auth = "bearer"
    login(settings, fake)
    client.put_manifest(Manifest.parse(image(), OCI_MANIFEST), "1.0.0")
    assert fake.tokens == [f"repository:acme/api:{scope}" for scope in ("pull", "pull,push", "pull")]
    asked = fake.requests[1]
    assert (asked.query["service"], asked.query["account"]) == (["tests"], ["me"])


def test_an_identity_token_is_exchanged(fake: FakeRegistry, client: Registry, settings: Path) -> None:
    """By POST with grant_type refresh_token; the answer calls it access_token."""
    fake.auth, fake.identity_token = "bearer", "t0ken"
    login(settings, fake, identitytoken="t0ken")
    fake.add(image(), "1.0.0")
    assert client.manifest(fake.repository.tagged("1.0.0")) is not None
    assert fake.paths("POST") == ["/token"]


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("entry", [{}, {"auth": base64.b64encode(b"me:guess").decode()}])
def test_a_login_that_is_missing_or_wrong_says_what_to_do(
    fake: FakeRegistry, client: Registry, settings: Path, auth: str, entry: dict[str, str]
) -> None:
    """401 is a RegistryError whose hint is `docker login HOST`; it is not tried for ever."""
    fake.auth = auth
    settings.write_text(json.dumps({"auths": {fake.host: entry}}))
    with pytest.raises(RegistryError, match="401") as caught:
        client.manifest(fake.repository.tagged("1.0.0"))
    assert caught.value.hint.startswith(f"docker login {fake.host}")
    assert "guess" not in str(caught.value)
    assert len(fake.requests) <= 3


def test_a_challenge_that_nobody_knows_is_a_refusal(fake: FakeRegistry, client: Registry) -> None:
    """Only Basic and Bearer are answered."""
    fake.faults = [Answer(status=401, headers={"WWW-Authenticate": "Negotiate"})]
    with pytest.raises(RegistryError, match="401"):
        client.manifest(fake.repository.tagged("1.0.0"))


def test_a_token_server_that_gives_none_is_a_refusal(
    fake: FakeRegistry, client: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 without a token."""
    fake.auth = "bearer"
    monkeypatch.setattr(fake, "_token", lambda _: Answer(status=200, body=b"{}"))
    with pytest.raises(RegistryError, match="holds no token"):
        client.manifest(fake.repository.tagged("1.0.0"))


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("entry", [{}, {"identitytoken": "t0ken"}], ids=["a password", "an identity token"])
def test_a_token_server_in_trouble_is_asked_again(
    fake: FakeRegistry, settings: Path, status: int, entry: dict[str, str]
) -> None:
    """As the registry itself, and that is told; what asks for more patience is believed at once."""
    fake.auth, fake.identity_token = "bearer", entry.get("identitytoken", "")
    login(settings, fake, **entry)
    fake.add(image(), "1.0.0")
    fake.token_faults = [Answer(status=status, headers={"Retry-After": "0"})] * 2
    told: list[str] = []
    with closing(Registry(fake.repository, tell=told.append)) as client:
        assert client.manifest(fake.repository.tagged("1.0.0")) is not None
        assert len(told) == 2
        assert f"get a token for {fake.repository}" in told[0]
        fake.token_faults = [Answer(status=status, headers={"Retry-After": "3600"})] * 2
        with pytest.raises(RegistryError, match=f"answers {status}") as caught:
            client.put_manifest(Manifest.parse(image()), "2.0.0")
    assert "wait 60 min" in caught.value.hint
    assert len(fake.token_faults) == 1


# --- again


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_trouble_is_waited_out(fake: FakeRegistry, client: Registry, status: int) -> None:
    """Reading, looking and writing are tried again."""
    fake.add(image(), "1.0.0")
    fake.blobs[Digest.of(LAYER).text] = LAYER
    trouble = [refusal(status, "TOOMANYREQUESTS", "slow down")] * 2
    fake.faults = list(trouble)
    assert client.manifest(fake.repository.tagged("1.0.0")) is not None
    fake.faults = list(trouble)
    assert client.has_blob(Digest.of(LAYER))
    fake.faults = list(trouble)
    with client.blob(blob_of(LAYER)) as stream:
        assert stream.read() == LAYER
    fake.faults = list(trouble)
    client.put_manifest(Manifest.parse(image(), OCI_MANIFEST), "2.0.0")
    assert fake.faults == []


def test_a_lasting_trouble_is_told_in_the_end(fake: FakeRegistry, client: Registry) -> None:
    """After five attempts, with the registry's words."""
    fake.faults = [refusal(429, "TOOMANYREQUESTS", "your quota is used up")] * 9
    with pytest.raises(RegistryError, match="your quota is used up") as caught:
        client.manifest(fake.repository.tagged("1.0.0"))
    assert len(fake.faults) == 4
    assert "log in for a higher limit" in caught.value.hint


def test_every_new_attempt_is_told(fake: FakeRegistry) -> None:
    """What was attempted, what came instead, how many attempts are left; the last failure is the error."""
    told: list[str] = []
    made = Registry(fake.repository, tell=told.append)
    fake.faults = [Answer(status=503)] * 9
    with pytest.raises(RegistryError, match="503"):
        made.manifest(fake.repository.tagged("1.0.0"))
    made.close()
    assert [line[-8:] for line in told] == ["(4 left)", "(3 left)", "(2 left)", "(1 left)"]
    assert all("read the manifest" in line and "answers 503; trying again" in line for line in told)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(status=429, headers={"Retry-After": "21600"}), "wait 360 min"),
        (Answer(status=503, headers={"Retry-After": "3600"}), "wait 60 min"),
        (Answer(status=429, headers={"Retry-After": format_datetime(IN_A_DAY, usegmt=True)}), "wait 14"),
        (Answer(status=429, headers={"RateLimit-Remaining": "0;w=21600"}), "wait 360 min"),
        (refusal(429, "DENIED", "the quota of this month is used up"), "log in for a higher limit"),
    ],
)
def test_a_quota_that_is_used_up_is_believed_at_once(
    fake: FakeRegistry, client: Registry, answer: Answer, words: str
) -> None:
    """A later time than a release can wait for, or another reason than haste: one request, and how long."""
    fake.faults = [answer] * 3
    with pytest.raises(RegistryError) as caught:
        client.manifest(fake.repository.tagged("1.0.0"))
    assert len(fake.faults) == 2
    assert words in caught.value.hint


@pytest.mark.parametrize("remaining", ["76;w=21600", "0", "0;w=soon", ""])
def test_a_limit_that_is_not_reached_is_waited_out(
    fake: FakeRegistry, client: Registry, remaining: str
) -> None:
    """Only nothing left in a known window is a used-up quota."""
    fake.add(image(), "1.0.0")
    fake.faults = [Answer(status=429, headers={"RateLimit-Remaining": remaining})]
    assert client.manifest(fake.repository.tagged("1.0.0")) is not None


@pytest.mark.parametrize(("status", "words"), [(405, "read-only"), (413, "more"), (507, "more")])
def test_a_registry_that_takes_nothing_says_why(
    fake: FakeRegistry, client: Registry, status: int, words: str
) -> None:
    """Read-only and full registries refuse uploads for good: asked once, with what to do."""
    fake.faults = [refusal(status, "UNSUPPORTED", "no")] * 2
    with pytest.raises(RegistryError) as caught:
        client.check_upload()
    assert words in caught.value.hint
    assert len(fake.faults) == 1


def test_asking_for_an_upload_leaves_nothing(fake: FakeRegistry, client: Registry) -> None:
    """The upload is taken back, and the manifest that is offered cannot be taken."""
    client.check_upload()
    assert fake.uploads == set()
    assert fake.manifests == {}
    assert [request.method for request in fake.requests] == ["POST", "DELETE", "PUT"]


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_refusal_that_stands_is_not_asked_again(fake: FakeRegistry, client: Registry, status: int) -> None:
    """One request is enough."""
    fake.faults = [Answer(status=status)] * 2
    with pytest.raises(RegistryError):
        client.has_blob(Digest.of(LAYER))
    assert len(fake.faults) == 1


def test_a_pause_that_the_registry_asks_for_is_made(fake: FakeRegistry, client: Registry) -> None:
    """Retry-After: 1 means a second, whatever the pause would have been."""
    fake.add(image(), "1.0.0")
    fake.faults = [Answer(status=429, headers={"Retry-After": "1"})]
    before = time.monotonic()
    assert client.manifest(fake.repository.tagged("1.0.0")) is not None
    assert time.monotonic() - before >= 1.0


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("7", 7, 7),
        (format_datetime(IN_A_DAY, usegmt=True), 80_000, 86_400),
        (format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), 0, 0),
        (IN_A_DAY.strftime("%a, %d %b %Y %H:%M:%S -0000"), 80_000, 86_400),
        (IN_A_DAY.strftime("%a, %d %b %Y %H:%M:%S"), 80_000, 86_400),
    ],
    ids=[
        "seconds",
        "tomorrow",
        "yesterday",
        "an unknown zone",
        "no zone",
    ],  # every worker must know a test by the same name
)
def test_a_pause_is_a_number_or_a_date(text: str, low: float, high: float) -> None:
    """Seconds from now (RFC 9110, 10.2.3); never before now."""
    pause = retry.retry_after(text)
    assert pause is not None
    assert low <= pause <= high


@pytest.mark.parametrize("text", [None, "", "soon"])
def test_a_pause_that_is_no_time_is_our_own(text: str | None) -> None:
    """Nonsense is as good as nothing."""
    assert retry.retry_after(text) is None


@pytest.mark.usefixtures("pauses")
@pytest.mark.parametrize("headers", [{}, {"Retry-After": "30"}], ids=["our own", "named"])
def test_a_pause_ends_when_the_work_is_cancelled(fake: FakeRegistry, headers: dict[str, str]) -> None:
    """Another gate failed, or Ctrl-C: nobody waits for the rest of it, and nothing more is asked."""
    slow = replace(CALM, patience=RetryPolicy(attempts=5, first=3600.0, longest=3600.0))
    fake.faults = [Answer(status=503, headers=headers)] * 5
    cancellation = Cancellation()
    stopping = threading.Thread(target=cancellation.request, args=("the lint failed",))
    client = Registry(fake.repository, tell=lambda _: stopping.start(), cancellation=cancellation, pace=slow)
    with closing(client), pytest.raises(Cancelled):
        client.has_blob(Digest.of(LAYER))
    stopping.join()
    assert len(fake.faults) == 4


def test_a_silent_registry_is_given_up_at_the_pace_of_who_waits() -> None:
    """It takes the connection and says nothing; what is tried again is told."""
    told: list[str] = []
    pace = replace(CALM, seconds=(1.0, 0.2), patience=RetryPolicy(attempts=2, first=0.01, longest=0.01))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = Repository(f"127.0.0.1:{silent.getsockname()[1]}/acme/api")
        begin = time.monotonic()
        with (
            closing(Registry(place, tell=told.append, pace=pace)) as client,
            pytest.raises(RegistryUnreachable),
        ):
            client.has_blob(Digest.of(LAYER))
    assert time.monotonic() - begin < 3
    assert len(told) == 1
    assert PRESSED.seconds[1] * PRESSED.patience.attempts <= 20


def test_a_registry_that_is_not_there_is_unreachable(fake: FakeRegistry) -> None:
    """Nothing listens: what was attempted, where, and what to do."""
    with serving(FakeRegistry()) as gone:
        repository = gone.repository
    with pytest.raises(RegistryUnreachable, match="connection refused") as caught:
        Registry(repository).manifest(repository.tagged("1.0.0"))
    assert f"at {repository.host}" in caught.value.attempted


# --- tags


@pytest.mark.parametrize("on_a_page", [1, 2, 3, 1000])
def test_all_tags_are_listed_whatever_the_pages(fake: FakeRegistry, client: Registry, on_a_page: int) -> None:
    """Page after page, until no next one is named."""
    fake.tags_on_a_page = on_a_page
    fake.add(image(), "0.1.0", "0.2.0", "sha-1")
    assert client.tags() == ("0.1.0", "0.2.0", "sha-1")
    assert len(fake.paths("GET")) == -(-3 // on_a_page)


def test_a_repository_without_tags_has_none(fake: FakeRegistry, client: Registry) -> None:
    """`null` is how some registries write an empty list."""
    assert client.tags() == ()


def test_a_repository_that_is_not_there_has_no_tags(fake: FakeRegistry) -> None:
    """404 is an answer."""
    assert Registry(Repository(f"{fake.host}/acme/other")).tags() == ()


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ('<http://192.0.2.1/v2/acme/api/tags/list?last=a>; rel="next"', "another server, http://192.0.2.1"),
        ('</v2/acme/api/tags/list>; rel="next"', "without new tags"),
    ],
)
def test_a_next_page_that_leads_astray_is_refused(
    fake: FakeRegistry, client: Registry, link: str, words: str
) -> None:
    """Neither to another server with our password, nor in a circle."""
    page = Answer(status=200, body=b'{"tags": ["a"]}', headers={"Link": link})
    fake.faults = [page, page]
    with pytest.raises(RegistryError, match=words):
        client.tags()


@pytest.mark.parametrize("body", [b"[]", b"no JSON"])
def test_a_list_of_tags_that_is_none_is_refused(fake: FakeRegistry, client: Registry, body: bytes) -> None:
    """A proxy's page of its own, for one."""
    fake.faults = [Answer(status=200, body=body)]
    with pytest.raises(RegistryError, match="list the tags of"):
        client.tags()


# --- where


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("localhost", True),
        ("192.0.2.1", False),
        ("registry.example", False),
    ],
)
def test_only_loopback_may_do_without_tls(hostname: str, expected: bool) -> None:
    """Docker's rule."""
    assert is_loopback(hostname) is expected


def test_docker_hub_has_another_address() -> None:
    """Names without a host belong to it; its API answers elsewhere."""
    assert Registry(Repository("python"))._with.base.text == "https://registry-1.docker.io"
    assert Registry(Repository("registry.example/acme/api"))._with.base.text == "https://registry.example"


def test_a_proxy_is_not_asked_about_loopback(
    fake: FakeRegistry, client: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY is for the world outside, as for Docker."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:3128")
    client.ping()
    assert fake.paths("GET") == ["/v2/"]


def test_a_password_is_not_sent_without_tls(monkeypatch: pytest.MonkeyPatch, settings: Path) -> None:
    """A registry with TLS that names a token server without it gets nothing."""
    made = Registry(Repository("registry.example/acme/api"))
    login_of_me = {"registry.example": {"auth": base64.b64encode(b"me:pw").decode()}}
    settings.write_text(json.dumps({"auths": login_of_me}))
    with pytest.raises(RegistryError, match="without TLS"):
        made._with._login.introduce('Bearer realm="http://evil.example/token",service="x"')
