"""A small greeting service: the model of a service that is released as one image."""
