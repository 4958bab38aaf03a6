"""What the service is told from outside: what it is, by its image; how it behaves, by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SERVICE = "api"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`version` and `commit` come with the image; `greeting` is the environment's choice."""

    version: str = "0.0.0"
    commit: str = "unknown"
    greeting: str = "Hello"

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read APP_VERSION, APP_COMMIT and GREETING; what is absent keeps its default."""
        names = {"version": "APP_VERSION", "commit": "APP_COMMIT", "greeting": "GREETING"}
        return cls(**{field: environment[name] for field, name in names.items() if name in environment})
