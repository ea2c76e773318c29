"""What a run's process says on its standard output: that a leg's end is recorded, or what the disk did not take."""

from __future__ import annotations

import json
from collections.abc import Iterator

from reconciler.core.phases import Leg
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import LegReport
from reconciler.runner.contract.records import report_from_data


class Notices:
    """Puts the pieces from one pipe together to lines, and reads the reports that they speak of."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes, directory: RunDirectory) -> Iterator[LegReport]:
        """Give the reports that a piece of output completes; a line that makes no sense is left out."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                report = _report(json.loads(line), directory)
            except (KeyError, TypeError, ValueError):
                continue
            if report is not None:
                yield report


def _report(notice: object, directory: RunDirectory) -> LegReport | None:
    match notice:
        case {"recorded": [str(leg), int(attempt)]}:
            return directory.read_report(Leg(leg), attempt)
        case {"report": dict(data)}:
            return report_from_data(data)
        case _:
            return None
