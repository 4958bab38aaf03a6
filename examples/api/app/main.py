"""The HTTP interface."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import FastAPI, Path

from app.settings import SERVICE, Settings

Guest = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^\S(.*\S)?$")]


def create_app(settings: Settings) -> FastAPI:
    """The service with these settings; it keeps no state, so any number of workers may run it."""
    app = FastAPI(title=SERVICE, version=settings.version)

    @app.get("/")
    async def index() -> dict[str, str]:
        """Who answers, and with which greeting."""
        return {"service": SERVICE, "version": settings.version, "greeting": settings.greeting}

    @app.get("/greetings/{guest}")
    async def greet(guest: Guest) -> dict[str, str]:
        """Greet a guest by name."""
        return {"message": f"{settings.greeting}, {guest}!"}

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether this worker serves."""
        return {"status": "ok"}

    @app.get("/version")
    async def version() -> dict[str, str]:
        """Which build this is."""
        return {"service": SERVICE, "version": settings.version, "commit": settings.commit}

    return app


app = create_app(Settings.read(os.environ))
