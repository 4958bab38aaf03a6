"""Orders: their rows, addresses and tasks."""
