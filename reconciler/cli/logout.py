"""`station logout`: the command stands beside the one that it undoes."""

from reconciler.cli.login import logout as command

__all__ = ["command"]
