"""Pages of the documentation, as `invoke explain` shows them.

An installed package has the pages in `release/pages`. A checkout has them in `docs`.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from release.errors import UsageError

if TYPE_CHECKING:
    from release.console import Console

_FOLDERS: Final = ("tutorial", "how-to", "reference", "explanation")
_HERE: Final = Path(__file__).parents[1]


def topics() -> dict[str, Path]:
    """Return the file of each topic; if two folders have a page of one name, the later is "folder/name"."""
    shipped = _HERE / "pages"
    root = shipped if shipped.is_dir() else _HERE.parent / "docs"
    found: dict[str, Path] = {}
    for folder in _FOLDERS:
        for page in sorted((root / folder).glob("*.md")):
            name = page.stem if page.stem not in found else f"{folder}/{page.stem}"
            found[name] = page
    return found


def explain(topic: str | None, console: Console) -> None:
    """Show the page of a topic, or list the topics. Raise UsageError for an unknown topic."""
    known = topics()
    if topic is None:
        console.print_table(("TOPIC", "PAGE"), [(name, _title(known[name])) for name in sorted(known)])
    elif topic in known:
        console.print_page(known[topic].read_text(encoding="utf-8"))
    else:
        near = difflib.get_close_matches(topic, known, n=1)
        raise UsageError(
            f"explain {topic!r}",
            f"there is no such topic. The topics are: {', '.join(sorted(known))}",
            f"invoke explain {near[0]}" if near else "invoke explain",
        )


def _title(page: Path) -> str:
    """Return the first heading of a page."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("# ") for line in lines if line.startswith("# "))
