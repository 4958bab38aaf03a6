"""Read releases back from their images."""
