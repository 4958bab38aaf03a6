"""Files out of containers: what is read, and what is refused before it takes memory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest

from release.errors import EngineError
from release.images.engine.container_files import TooLarge, only_file

LIMIT = 1000
GIGABYTE = 1024**3


def archive(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    """An archive of one member, whose header may not tell the truth."""
    return member.tobuf(tarfile.PAX_FORMAT) + content + b"\0" * (-len(content) % 512) + b"\0" * 1024


def file(size: int, /, **pax: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo("junit.xml")
    member.size, member.pax_headers = size, pax
    return member


def pieces(data: bytes) -> Iterator[bytes]:
    return (data[start : start + 100] for start in range(0, len(data), 100))


def test_a_file_is_read_whole() -> None:
    """Up to its last byte, and an empty one too."""
    for content in (b"", b"x", b"y" * LIMIT):
        assert only_file(pieces(archive(file(len(content)), content)), LIMIT, "read it") == content


@pytest.mark.attack(
    "A test leaves a report of 6 GB, of which the engine begins to send an archive",
    "The size in the archive's header is above the limit: nothing more is read",
)
def test_a_file_above_the_limit_is_not_read() -> None:
    """Its header tells the size; of the endless rest nothing is asked for."""
    asked = 0

    def endless() -> Iterator[bytes]:
        nonlocal asked
        yield archive(file(6 * GIGABYTE))[:512]
        while True:
            asked += 1
            yield b"\0" * 16_384

    with pytest.raises(TooLarge, match="larger than the limit, 1000b"):
        only_file(endless(), LIMIT, "read it")
    assert asked < 5


def sparse(real: int) -> bytes:
    """A member of a few bytes that expands to a large file (GNU tar, sparse format 1.0)."""
    chunk_map = f"1\n{real - 1}\n1\n".encode().ljust(512, b"\0")
    names = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(real)}
    return archive(file(len(chunk_map) + 1, **names), chunk_map + b"x")


@pytest.mark.attack(
    "An archive holds a sparse member: a kilobyte that expands to 6 GB",
    "The expanded size is above the limit: it is not expanded",
)
def test_a_sparse_member_is_measured_by_what_it_expands_to() -> None:
    """A small one is read, its holes as zeros."""
    assert only_file(pieces(sparse(700)), LIMIT, "read it") == b"\0" * 699 + b"x"
    with pytest.raises(TooLarge):
        only_file(pieces(sparse(6 * GIGABYTE)), LIMIT, "read it")


def lying(real: str) -> bytes:
    return archive(
        file(10, **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": real})
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive at all" * 100,
        archive(file(500), b"x" * 500)[:700],
        archive(file(0, size="9" * 30)),
        archive(file(10, path="x" * 100_000)),
        lying("-5"),
        lying("x"),
        b"".join([file(0, comment="c").tobuf(tarfile.PAX_FORMAT)[:1024]] * 3000),
    ],
    ids=["empty", "text", "cut", "huge", "long name", "negative", "no size", "many headers"],
)
def test_a_damaged_archive_is_a_typed_error(data: bytes) -> None:
    """Whatever tarfile makes of it."""
    with pytest.raises(EngineError):
        only_file(pieces(data), LIMIT, "read it")


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.SYMTYPE])
def test_what_is_no_file_is_refused(kind: bytes) -> None:
    """A pipe or a device has no content."""
    member = file(0)
    member.type = kind
    with pytest.raises(EngineError, match="not a regular file"):
        only_file(pieces(archive(member)), LIMIT, "read it")


def test_an_archive_is_not_read_further_than_its_limit() -> None:
    """A header that announces more headers than the whole archive may have."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 5 * GIGABYTE
    read = io.BytesIO(header.tobuf())

    def endless() -> Iterator[bytes]:
        yield read.getvalue()
        while True:
            yield b"9" * 16_384

    with pytest.raises(TooLarge):
        only_file(endless(), LIMIT, "read it")
