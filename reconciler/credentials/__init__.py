"""Opens the secrets that the configuration names: sealed values, files, variables of the service."""
