"""Why a secret cannot be had."""

from __future__ import annotations


class SecretUnreadable(Exception):
    """A secret that the configuration or the settings name cannot be had; the message names it, never its value."""
