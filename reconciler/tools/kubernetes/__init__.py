"""Kubernetes: manifests, kustomize or a chart, applied by the API server and remembered in an inventory."""

from __future__ import annotations

from reconciler.tools.kubernetes.adapter import Kubernetes


def tool() -> Kubernetes:
    """Return the adapter."""
    return Kubernetes()
