"""Sends what notifiers tell to receivers outside: what it says, and how it gets there."""
