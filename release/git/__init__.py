"""Git repository of a service: commits, trees, tags and passwords of remotes."""
