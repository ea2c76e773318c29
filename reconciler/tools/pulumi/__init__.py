"""Pulumi."""

from __future__ import annotations

from reconciler.tools.pulumi.adapter import Pulumi


def tool() -> Pulumi:
    """Return the adapter."""
    return Pulumi()
