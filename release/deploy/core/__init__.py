"""Values and protocols that all rooms of a deployment share."""
