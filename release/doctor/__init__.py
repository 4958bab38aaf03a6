"""Checks of `invoke doctor` for everything that a release needs."""
