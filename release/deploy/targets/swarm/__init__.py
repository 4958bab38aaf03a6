"""A Swarm as a target: the spec of a service, its tasks on their way, and what is put back."""
