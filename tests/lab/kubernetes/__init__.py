"""Tests on a real cluster, which KUBECONFIG names. `nox -s kubernetes` runs them, and nothing else does."""
