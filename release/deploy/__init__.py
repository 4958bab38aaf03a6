"""From a record to a running environment."""
