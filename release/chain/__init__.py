"""From a commit to a released digest."""
