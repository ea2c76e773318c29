"""Brings the start of an apply to the disk, beside all that comes before its first command."""

from __future__ import annotations

import threading

from reconciler.runner.contract.directory import RunDirectory


class Settling:
    """The start of a leg on its way to the disk."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._problem: OSError | None = None
        self._thread = threading.Thread(target=self._settle, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return once the start is there to stay; OSError where it is not."""
        self._thread.join()
        if self._problem is not None:
            raise self._problem

    def _settle(self) -> None:
        try:
            self._directory.settle()
        except OSError as error:
            self._problem = error
