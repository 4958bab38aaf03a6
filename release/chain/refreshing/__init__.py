"""`nox -s refresh`: the lockfile updated with its own tool, as one commit that passed all gates."""
