"""Ansible."""

from __future__ import annotations

from reconciler.tools.ansible.adapter import Ansible


def tool() -> Ansible:
    """Return the adapter."""
    return Ansible()
