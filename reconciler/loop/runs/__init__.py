"""Runs: decided, dispatched, recorded."""
