"""Clients of engines and registries, and the documents of images."""
