"""The logs of the libraries that we use. They hold text of others, and `release.console` alone prints."""

from __future__ import annotations

import logging
from typing import Final

_LIBRARIES: Final = ("git", "docker", "urllib3", "requests", "py_serializable", "cyclonedx")


def silence() -> None:
    """Keep these logs from standard error. What concerns a reader arrives as an exception."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
