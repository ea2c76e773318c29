"""Processes of a run: started, sandboxed, logged, stopped."""
