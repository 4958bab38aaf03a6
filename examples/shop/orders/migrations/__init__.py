"""Changes of the database, each forward and back."""
