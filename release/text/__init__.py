"""Text for people: short, without control characters, in local time."""
