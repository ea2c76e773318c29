"""Runs: decided, started, and recorded by the loop."""
