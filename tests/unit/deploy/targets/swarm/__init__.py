"""A Swarm as a target, in memory."""
