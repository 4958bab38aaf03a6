"""From a request to a plan. Nothing is changed here."""
