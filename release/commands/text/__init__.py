"""Render plans, records and states as text."""
