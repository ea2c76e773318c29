"""Where in Git a value stands that differs in the real world, and the edit that would put the live value there."""
