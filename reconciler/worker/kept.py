"""What a worker remembers of its legs on the disk, so that it goes on with them after it was killed.

There is no secret of a run in it but the tokens of the leg and of its tfstate, which open nothing once it is over.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.core.phases import Leg
from reconciler.engine.ends import LegId
from reconciler.runner.contract.directory import sync_directory, write_file


@dataclass(frozen=True, slots=True)
class KeptLeg:
    """A leg that this worker has, or is about to take up. `lease` in seconds."""

    which: LegId
    token: str = field(repr=False)
    lease: float = 60.0
    tfstate: tuple[str, str] | None = field(default=None, repr=False)
    """Where the service has the stack's tfstate, and the token for it; None: it has none."""
    saves: bool = True
    """Whether what the plan leaves to its apply is still to be sent."""


class KeptLegs:
    """The files about legs, one each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, leg: KeptLeg) -> None:
        """Remember a leg; OSError where the disk does not take it."""
        which = leg.which
        data = [which.run, which.attempt, which.leg, leg.token, leg.lease, leg.tfstate, leg.saves]
        path = self._path(which.run)
        draft = path.with_suffix(".draft")
        write_file(draft, json.dumps(data).encode(), durable=True)
        draft.replace(path)
        sync_directory(self._directory)

    def remove(self, run: str) -> None:
        """Forget a leg."""
        with contextlib.suppress(OSError):
            self._path(run).unlink(missing_ok=True)

    def all(self) -> list[KeptLeg]:
        """Return the legs that were not over when they were remembered."""
        found = []
        for name in sorted(os.listdir(self._directory)):  # noqa: PTH208 - names only
            if name.endswith(".json"):
                with contextlib.suppress(OSError, ValueError):
                    run, attempt, leg, token, lease, tfstate, saves = json.loads((self._directory / name).read_bytes())
                    access = None if tfstate is None else (tfstate[0], tfstate[1])
                    found.append(KeptLeg(LegId(run, attempt, Leg(leg)), token, lease, access, saves))
        return found

    def _path(self, run: str) -> Path:
        return self._directory / f"{run}.json"
