"""Pages of tags, and addresses in the answers of a registry."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

from requests.utils import parse_header_links

from release.errors import RegistryError
from release.images.registry.address import Address
from release.images.registry.http import Answer
from release.images.registry.manifest import DAMAGED, json_object

MOST_TAGS: Final = 100_000
MOST_PAGES: Final = 1_000

_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
TOO_MANY: Final = "remove unused tags from this repository, or check that the address is a registry"


def parse_tags(response: Answer, attempted: str) -> list[str]:
    """Return the tags of one page. Raise RegistryError if the page does not have the documented form."""
    data = json_object(response.content, attempted)
    if "tags" not in data:
        raise RegistryError(attempted, "the answer is not a list of tags", DAMAGED)
    found = data["tags"] or []  # Go writes an empty list as null
    if not isinstance(found, list) or not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in found):
        raise RegistryError(attempted, "it lists something that is not a tag", DAMAGED)
    return found


def next_link(header: str) -> str | None:
    """Return the address of the next page (RFC 8288); None if there is none."""
    links = parse_header_links(header[:_LONGEST_LINK])
    return next((str(link["url"]) for link in links if link.get("rel") == "next"), None)


_LONGEST_LINK: Final = 16 * 1024


def link_path(response: Answer, location: str) -> tuple[str, str] | None:
    """Return the address of a link, and its path with the query; None if it is not an address."""
    try:
        whole = urljoin(response.url, location)
        parts = urlsplit(whole)
    except ValueError:
        return None
    return whole, f"{parts.path}?{parts.query}" if parts.query else parts.path


def origin_of_link(place: tuple[str, str] | None) -> str:
    """Return scheme and host of a link's address, for messages."""
    try:
        return str(Address.parse(place[0] if place is not None else ""))
    except ValueError:
        return "without a readable address"
