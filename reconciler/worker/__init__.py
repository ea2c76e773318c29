"""The worker: asks a service for legs of runs, and does them on its own machine."""
