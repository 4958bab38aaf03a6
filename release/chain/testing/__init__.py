"""The test gate."""
