"""How a leg stops before its end, other than by a command that the adapter was told about."""

from __future__ import annotations

from reconciler.runner.job import Ending, Reason


class Halted(Exception):
    """The leg ends here, in this way. The message is one line."""

    def __init__(self, ending: Ending, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.ending = ending
        self.reason = reason
