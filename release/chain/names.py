"""Names of the nox sessions."""

from typing import Final

SESSIONS: Final = {
    "lock": "Check that the lockfile is fresh.",
    "lint": "Lint the committed tree with the pinned tools.",
    "build": "Build the image from the committed tree.",
    "test": "Build the image and run its tests inside it.",
    "smoke": "Build the image, run it as production would, and stop it.",
    "installed": "Build the image, and compare its packages with the lockfile.",
    "audit": "Build the image, and look up known vulnerabilities of its packages.",
    "push": "Build the image, push it as a candidate and read it back.",
    "refresh": "Update the lockfile with its own tool, run all gates, and make one commit of it.",
    "check": "All gates, as for a pull request: nothing is pushed, nothing recorded.",
    "release": "From the commit to a recorded release: all gates, push, record, tag.",
}
"""Sessions in the order of the chain, with the help line of `nox -l`."""
