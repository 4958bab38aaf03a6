"""One Docker Engine as a target."""
