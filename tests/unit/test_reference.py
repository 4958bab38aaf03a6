"""Names of images: what is accepted, what is refused, and that each prints back what it parsed."""

from __future__ import annotations

import hashlib

import pytest

from release.reference import Digest, Reference, Repository

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


def test_a_digest_prints_back_what_it_parsed() -> None:
    """With its digits and a short form for people."""
    digest = Digest(DIGEST)
    assert (str(digest), digest.hex, digest.short) == (DIGEST, HEX, HEX[:12])


def test_the_digest_of_bytes_is_their_sha256() -> None:
    """Whole content, no newline added."""
    assert Digest.of(b"{}").hex == hashlib.sha256(b"{}").hexdigest()


@pytest.mark.parametrize(
    "text",
    ["", HEX, DIGEST[:-1], DIGEST + "0", DIGEST.upper(), f"sha512:{HEX}", DIGEST + "\n", f" {DIGEST}"],
)
def test_what_is_not_a_sha256_digest_is_refused(text: str) -> None:
    """The message shows the text."""
    with pytest.raises(ValueError, match="is not a digest: expected sha256:"):
        Digest(text)


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("api", "docker.io", "library/api"),
        ("acme/api", "docker.io", "acme/api"),
        ("docker.io/api", "docker.io", "library/api"),
        ("docker.io/acme/api", "docker.io", "acme/api"),
        ("localhost/api", "localhost", "api"),
        ("localhost:5000/api", "localhost:5000", "api"),
        ("127.0.0.1:5000/acme/api", "127.0.0.1:5000", "acme/api"),
        ("[::1]:5000/api", "[::1]:5000", "api"),
        ("registry.example/a/b/c", "registry.example", "a/b/c"),
        ("registry.example/a.b/c_d/e__f/g--h", "registry.example", "a.b/c_d/e__f/g--h"),
        ("with-dash/api", "docker.io", "with-dash/api"),
    ],
)
def test_a_repository_is_split_into_host_and_path(text: str, host: str, path: str) -> None:
    """A first component with . or :, or localhost, is a host; bare names of Docker Hub are in library/."""
    repository = Repository(text)
    assert (repository.host, repository.path, str(repository)) == (host, path, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/api",
        "api/",
        "a//b",
        "API",
        "acme/Api",
        "api:1.0",
        f"api@{DIGEST}",
        "api\n",
        "-api",
        "api-",
        "a___b",
        "a..b",
        "https://registry.example/api",
        "registry.example/",
        "registry.example:port/api",
        "registry-.example/api",
        "-registry.example/api",
        "user@registry.example/api",
        "registry.example/" + "a" * 240,
    ],
)
def test_what_is_not_a_repository_is_refused(text: str) -> None:
    """The message shows the text."""
    with pytest.raises(ValueError, match=r"is not a repository|is not a registry host|is longer than 255"):
        Repository(text)


@pytest.mark.parametrize(
    "text",
    [
        "api",
        "api:1.0",
        "localhost:5000/api",
        "localhost:5000/api:sha-0123abc",
        f"localhost:5000/api@{DIGEST}",
        f"registry.example/acme/api:1.4.2@{DIGEST}",
        "api:" + "t" * 128,
    ],
)
def test_a_reference_prints_back_what_it_parsed(text: str) -> None:
    """A port is not mistaken for a tag."""
    assert str(Reference.parse(text)) == text


def test_a_reference_holds_its_parts() -> None:
    """Repository, tag and digest are values of their own."""
    reference = Reference.parse(f"localhost:5000/acme/api:1.0@{DIGEST}")
    assert reference.repository == Repository("localhost:5000/acme/api")
    assert (reference.tag, reference.digest) == ("1.0", Digest(DIGEST))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("api:", "is not a tag"),
        ("api:1.0+build", "is not a tag"),
        ("api:-x", "is not a tag"),
        ("api:.x", "is not a tag"),
        ("api:" + "t" * 129, "is not a tag"),
        ("api@", "is not a digest"),
        (f"api@{DIGEST}@{DIGEST}", "is not a digest"),
        (":1.0", "is not a repository"),
        ("Api:1.0", "is not a repository"),
    ],
)
def test_a_bad_reference_is_refused_by_its_bad_part(text: str, part: str) -> None:
    """The message names the part, not the whole."""
    with pytest.raises(ValueError, match=part):
        Reference.parse(text)


def test_a_repository_makes_references_by_tag_and_by_digest() -> None:
    """A tag for people, a digest for machines."""
    repository = Repository("localhost/api")
    assert str(repository.tagged("1.0.0")) == "localhost/api:1.0.0"
    assert str(repository.at(Digest(DIGEST))) == f"localhost/api@{DIGEST}"
