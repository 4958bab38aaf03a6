"""Secrets: read from their sources, detected, and masked in text."""
