"""Adapters to proxies, each with an honest fake of its proxy."""
