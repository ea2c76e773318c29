"""Engines: where the processes of runs work."""
