"""Terragrunt: one unit, or all units below a directory in the order of their graph."""

from __future__ import annotations

from reconciler.tools.terragrunt.adapter import Terragrunt


def tool() -> Terragrunt:
    """Return the adapter."""
    return Terragrunt()
