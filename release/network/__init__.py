"""Connections and HTTP requests, within limits."""
