"""The container's health check: `python -m app.health` exits with 0 when the service answers, else with 1."""

from __future__ import annotations

import http.client
import sys


def healthy(port: int = 8000) -> bool:
    """Whether GET /healthz on this machine answers 200 within two seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not healthy())
