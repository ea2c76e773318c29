"""What a run and the service tell each other: the run directory and its records."""
