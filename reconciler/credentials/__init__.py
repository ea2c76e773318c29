"""Credentials: the secrets that the configuration names, from sealed values, files and variables of the service."""
