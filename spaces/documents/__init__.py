"""Documents in their spaces: found, compared, and named by each other."""
