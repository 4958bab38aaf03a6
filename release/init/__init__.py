"""Set up a repository: read its files, and propose the files that releases need."""
