"""Records of releases and deployments."""
