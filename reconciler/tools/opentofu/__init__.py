"""OpenTofu: Terraform's adapter with a binary of its own."""

from __future__ import annotations

from reconciler.tools.terraform.adapter import Terraform


def tool() -> Terraform:
    """Return the adapter."""
    return Terraform("opentofu", "tofu")
