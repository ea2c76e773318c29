"""The service: watches, compares, acts, remembers, shows."""
