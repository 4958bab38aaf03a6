"""Targets of deployments: one folder for each kind."""
