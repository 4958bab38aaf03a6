"""Three engines in network namespaces: a Swarm that tests may break."""
