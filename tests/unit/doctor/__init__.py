"""Checks of what releases need."""
