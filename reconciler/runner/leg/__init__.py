"""A leg of a run: its steps, their commands and their results."""
