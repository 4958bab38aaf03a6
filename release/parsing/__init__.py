"""Parsers of untrusted text, within limits."""
