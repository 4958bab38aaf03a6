"""Next version of a service, by its commits and tags."""
