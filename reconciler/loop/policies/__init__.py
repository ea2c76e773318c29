"""Policies asked beside the loop: of plans, of pushes, for notifications."""
