"""How gunicorn runs the service: `gunicorn --config python:app.server app.main:app`.

https://gunicorn.org/reference/settings/ describes each name.
"""

from __future__ import annotations

import json
import os
import platform
import sys

from app.settings import SERVICE, Settings

bind = "0.0.0.0:8000"  # of the container: whoever runs it decides where it is published
worker_class = "uvicorn_worker.UvicornWorker"
# A container is what is scaled; and a second worker that SIGTERM meets while it starts does not hear it.
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
preload_app = True  # imported once, then forked: more workers cost little memory and no time
worker_tmp_dir = "/dev/shm"  # noqa: S108 - heartbeats stay in memory, and the root may be read-only
graceful_timeout = 8  # requests under way may end; below the 10 s after which an engine kills
control_socket_disable = True  # a container is told what to do by signals; there is no folder for a socket
loglevel = os.environ.get("LOG_LEVEL", "info")


def start_line(settings: Settings) -> str:
    """One line of JSON that says which build starts."""
    return json.dumps(
        {
            "event": "start",
            "service": SERVICE,
            "version": settings.version,
            "commit": settings.commit,
            "python": platform.python_version(),
            "workers": workers,
        }
    )


def on_starting(server: object) -> None:
    """Gunicorn's hook: runs once, in the process that starts the workers."""
    sys.stdout.write(f"{start_line(Settings.read(os.environ))}\n")
    sys.stdout.flush()
