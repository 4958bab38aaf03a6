"""A namespace of a Kubernetes cluster as a target. Nothing of it is imported for other targets."""
