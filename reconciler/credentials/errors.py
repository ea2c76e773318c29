"""The failure to read a secret."""

from __future__ import annotations


class SecretUnreadable(Exception):
    """A secret that the configuration or the settings name cannot be read.

    The message names the secret, never its value.
    """
