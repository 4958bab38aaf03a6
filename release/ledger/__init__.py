"""What was released, and what ran where."""
