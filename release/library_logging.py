"""Log settings of used libraries; only `release.console` prints."""

from __future__ import annotations

import logging
from typing import Final

_LIBRARIES: Final = ("git", "docker", "urllib3", "requests", "py_serializable", "cyclonedx")


def silence() -> None:
    """Keep the logs of used libraries from standard error."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
