"""How the container runs the service: `python -m app.server`.

One process, which is the container's own and receives its signals: a container is what is scaled.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys

from app.settings import SERVICE, Settings

HOST = "0.0.0.0"  # noqa: S104 - of the container: whoever runs it decides where it is published
PORT = 8000
GRACE = 8  # seconds that requests under way may take to end; below the 10 s after which an engine kills


def start_line(settings: Settings) -> str:
    """One line of JSON that says which build starts."""
    return json.dumps(
        {
            "event": "start",
            "service": SERVICE,
            "version": settings.version,
            "commit": settings.commit,
            "python": platform.python_version(),
        }
    )


def main() -> None:
    """Serve until SIGTERM, and until the requests under way have ended."""
    # A process 1 without a handler does not hear SIGTERM; uvicorn sets its own when everything is imported.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    sys.stdout.write(f"{start_line(Settings.read(os.environ))}\n")
    sys.stdout.flush()

    import uvicorn

    from app.main import app

    uvicorn.run(
        app,
        host=HOST,
        port=PORT,
        timeout_graceful_shutdown=GRACE,
        log_level=os.environ.get("LOG_LEVEL", "info"),
        access_log=False,  # a proxy has each request in its log
    )


if __name__ == "__main__":
    main()
