"""Look at an environment: status, readiness, drill, prune."""
