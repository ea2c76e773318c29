"""Why a run cannot begin."""

from __future__ import annotations

from reconciler.core.state import Problem


class CannotRun(Exception):
    """The run cannot begin; `reason` is one CamelCase word, the message one line."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def refuse(problem: Problem) -> CannotRun:
    """Word a problem of the source as the reason why a run cannot begin."""
    return CannotRun(problem.reason, problem.message)
