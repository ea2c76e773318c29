"""What is on the disk of a leg that a worker elsewhere does: the offer, and who has taken it up.

It lies in the run's own directory, so that it goes with the run. A leg is taken once: the file that says by whom is
made by a hard link, which the disk lets only one succeed with, whoever else tries and whatever is killed meanwhile.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from reconciler.engine.ends import LegId
from reconciler.engine.packing import BEGINNING, pack
from reconciler.runner.contract.directory import RunDirectory, sync_directory, write_file


@dataclass(frozen=True, slots=True)
class LegOffer:
    """An offered leg. `token_hash` is of the token that may take it; `wanted` the one worker that has the plan."""

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

    def put(self, offer: LegOffer) -> None:
        """Write the offer, in the place of an earlier one."""
        data = {"pool": offer.pool, "hash": offer.token_hash, "grace": offer.grace, "wanted": offer.wanted}
        self._replace(self._offer, data)

    def read(self) -> LegOffer | None:
        """Read the offer; None: this leg was never offered to workers."""
        data = _read(self._offer)
        return None if data is None else LegOffer(data["pool"], data["hash"], data["grace"], data["wanted"])

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
        self.forget_saved()
        pack(self.directory, BEGINNING, self.directory.tree)
        self.directory.free()

    def forget_tree(self) -> None:
        """Remove the tree: the worker has it."""
        with contextlib.suppress(OSError):
            self.directory.tree.unlink(missing_ok=True)

    def log(self) -> IO[bytes]:
        """Open the run's log to append to it; OSError where it is a link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(self.directory.log, flags, 0o600), "ab")

    @contextlib.contextmanager
    def saving(self) -> Iterator[Saving]:
        """Take in what a plan left, in the place of what is there; it counts once `Saving.finish` has returned."""
        draft = self.directory.saved.with_suffix(f".{secrets.token_hex(4)}.draft")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
                yield Saving(self, draft, file)
        finally:
            draft.unlink(missing_ok=True)

    def saved(self) -> str | None:
        """Return the SHA-256 of what the plan of this attempt left; None: it is only where it was made."""
        data = _read(self._saved)
        whole = data is not None and data["attempt"] == self.which.attempt and self.directory.saved.is_file()
        return str(data["sha256"]) if data is not None and whole else None

    def forget_saved(self) -> None:
        """Remove what an earlier plan left."""
        self._saved.unlink(missing_ok=True)
        self.directory.saved.unlink(missing_ok=True)

    def note_saved(self, sha256: str) -> None:
        """Note what the saved file has to be."""
        self._replace(self._saved, {"attempt": self.which.attempt, "sha256": sha256})

    @property
    def _saved(self) -> Path:
        return self.directory.root / "saved"

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


class Saving:
    """What a plan left, while it comes in. Any thread may call the methods, one after the other."""

    def __init__(self, ledger: Ledger, draft: Path, file: IO[bytes]) -> None:
        self._ledger, self._draft, self._file = ledger, draft, file
        self._hash = hashlib.sha256()
        self.size = 0

    def add(self, data: bytes) -> None:
        """Take in the next piece; OSError where the disk is full."""
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def finish(self) -> None:
        """Keep it for the apply, also when the power fails."""
        self._file.flush()
        os.fsync(self._file.fileno())
        ledger = self._ledger
        ledger.forget_saved()
        self._draft.replace(ledger.directory.saved)
        ledger.note_saved(self._hash.hexdigest())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return data if isinstance(data, dict) else None
