"""Terraform."""

from __future__ import annotations

from reconciler.tools.terraform.adapter import Terraform


def tool() -> Terraform:
    """Return the adapter."""
    return Terraform("terraform", "terraform")
