"""CloudFormation."""

from __future__ import annotations

from reconciler.tools.cloudformation.adapter import CloudFormation


def tool() -> CloudFormation:
    """Return the adapter."""
    return CloudFormation()
