"""A strict API server for tests: objects, server-side apply, permissions, and a cluster that runs pods."""
