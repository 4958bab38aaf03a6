"""Set a repository up: read it, and propose the files that releases need."""
