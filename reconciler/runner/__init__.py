"""What happens inside a run's own process."""
