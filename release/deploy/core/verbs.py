"""The verb of a message: a rollback is not called a deployment."""

from __future__ import annotations


def attempt(reason: str, what: object) -> str:
    """Return the attempted action: "roll back to 0.1.0 of api in production".

    Args:
        reason: of the deployment: "rollback", or another one.
        what: the release, or release and place.
    """
    return f"roll back to {what}" if reason == "rollback" else f"deploy {what}"
