"""Which process that was: a pid alone may belong to another one by now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process of this machine and this boot. `start` is in clock ticks since the boot."""

    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """Identify the process that has this pid now; None: there is none, or only its remains."""
        fields = stat_fields(pid)
        if fields is None or fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), _boot())

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> ProcessIdentity:
        """Read an identity back."""
        return cls(int(data["pid"]), int(data["start"]), str(data["boot"]))

    def to_data(self) -> dict[str, Any]:
        """Return the identity as plain JSON data."""
        return {"pid": self.pid, "start": self.start, "boot": self.boot}

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def replaced(self) -> bool:
        """Whether the pid means another process by now; False while nobody has it."""
        fields = stat_fields(self.pid)
        return self.boot != _boot() or (fields is not None and int(fields[19]) != self.start)

    def signal(self, number: int) -> bool:
        """Send a signal to that very process; False: it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except AttributeError:
            descriptor = -1
        except OSError:
            return False
        try:
            if not self.alive():
                return False
            if descriptor < 0:
                os.kill(self.pid, number)
            else:
                import signal  # noqa: PLC0415 - the engine's side only

                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return True


def stat_fields(pid: int) -> list[str] | None:
    """Read /proc/<pid>/stat ([0] state, [1] parent, [2] group, [3] session, [19] start); None: no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
