"""What is on the disk of a leg that a worker elsewhere does: the offer, and who has taken it up.

It lies in the run's own directory, so that it goes with the run. A leg is taken once: the file that says by whom is
made by a hard link, which the disk lets only one succeed with, whoever else tries and whatever is killed meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.engine.ends import LegId
from reconciler.runner.contract.directory import RunDirectory, sync_directory, write_file

WORK, HOME = "work", "home"
"""What a tree holds: the work directory, and what lies in the run's home."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An offered leg. `token_hash` is of the token that may take it; `wanted` the worker that has the run's plan."""

    pool: str
    token_hash: str
    grace: float
    """How many seconds a tool has to stop once it was asked to."""
    wanted: str | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The files about one leg."""

    directory: RunDirectory
    which: LegId

    @property
    def tree(self) -> Path:
        """What the work directory and the home are to hold, as a tar file."""
        return self.directory.root / "tree.tar"

    def put(self, offer: Offer) -> None:
        """Write the offer, in the place of an earlier one."""
        data = {"pool": offer.pool, "hash": offer.token_hash, "grace": offer.grace, "wanted": offer.wanted}
        self._replace(self._offer, data)

    def read(self) -> Offer | None:
        """Read the offer; None: this leg was never offered to workers."""
        data = _read(self._offer)
        return None if data is None else Offer(data["pool"], data["hash"], data["grace"], data["wanted"])

    def take(self, worker: str | None) -> bool:
        """Take the leg for a worker; None: for nobody, so that it never begins. False: it is taken already."""
        draft = self.directory.root / f".{self.which.leg}-{self.which.attempt}.{os.getpid()}.take"
        write_file(draft, json.dumps({"worker": worker}).encode(), durable=True)
        try:
            self._taken.hardlink_to(draft)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        sync_directory(self.directory.root)
        return True

    def taken(self) -> tuple[bool, str | None]:
        """Return whether the leg was taken, and by which worker."""
        data = _read(self._taken)
        return (False, None) if data is None else (True, data["worker"])

    def note_worker(self, worker: str) -> None:
        """Note which worker has the run's directory, with its plan."""
        self._replace(self._worker, {"worker": worker})

    def worker(self) -> str | None:
        """Return which worker has the run's directory."""
        data = _read(self._worker)
        return None if data is None else data["worker"]

    def pack(self) -> None:
        """Put what was prepared into the tree, and remove it otherwise; OSError where the disk is full."""
        draft = self.tree.with_suffix(".draft")
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
            for path, name in ((self.directory.work, WORK), (self.directory.home, HOME)):
                tar.add(path, name)
        draft.replace(self.tree)
        self.directory.free()

    def forget_tree(self) -> None:
        """Remove the tree: the worker has it."""
        with contextlib.suppress(OSError):
            self.tree.unlink(missing_ok=True)

    @property
    def _offer(self) -> Path:
        return self.directory.root / f"{self.which.leg}-{self.which.attempt}.offer"

    @property
    def _taken(self) -> Path:
        return self.directory.root / f"{self.which.leg}-{self.which.attempt}.taken"

    @property
    def _worker(self) -> Path:
        return self.directory.root / "worker"

    def _replace(self, path: Path, data: Mapping[str, Any]) -> None:
        draft = path.with_name(f".{path.name}.draft")
        write_file(draft, json.dumps(data).encode(), durable=True)
        draft.replace(path)
        sync_directory(self.directory.root)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return data if isinstance(data, dict) else None
