"""Holds the callback plugin that ansible loads from a copy; nothing of ours imports it."""
