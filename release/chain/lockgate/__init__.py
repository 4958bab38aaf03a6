"""The gate that proves the lockfile fresh: one adapter for each kind of lockfile."""
