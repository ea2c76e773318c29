"""The engine of pools whose legs are Jobs of Kubernetes."""
