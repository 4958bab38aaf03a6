"""Push, record and promote a release."""
