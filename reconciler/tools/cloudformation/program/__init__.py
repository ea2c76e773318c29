"""What speaks to AWS, as a program of its own inside the run's sandbox: it knows nothing of the service."""
