"""What is on the disk of a leg that a worker elsewhere does: the offer, and who has taken it up.

It lies in the run's own directory, so that it goes with the run. A leg is taken once: of all who try, only
one can create the file that names the worker. If the service is killed before it has written the name, it has told no
worker yet. The file is then empty, which means that nobody has the leg and nobody will get it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from reconciler.core.phases import Leg
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
        """Write the offer: until it is taken, whoever comes later only has to know that there was one."""
        write_file(self._offer, json.dumps(_data_of(offer)).encode(), durable=False)

    def read(self) -> LegOffer | None:
        """Read the offer, as it was taken if it was; None: this leg was never offered to workers."""
        data = {**(_read(self._offer) or {}), **(_read(self._taken) or {})}
        return LegOffer(data["pool"], data["hash"], data["grace"], data["wanted"]) if "hash" in data else None

    def take(self, worker: str | None, offer: LegOffer | None = None) -> bool:
        """Take the leg for a worker, as it was offered; None: for nobody, so that it never begins. False: it is taken.

        That of an apply is on the disk when this returns, so that one that was begun is known also after the power has
        failed. A plan that is not known any more by then is lost, and made again.
        """
        data = json.dumps({**({} if offer is None else _data_of(offer)), "worker": worker}).encode()
        try:
            descriptor = os.open(
                self._taken, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except FileExistsError:
            return False
        durable = self.which.leg is Leg.APPLY
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
        except OSError:
            self._taken.unlink(missing_ok=True)
            raise
        if durable:
            sync_directory(self.directory.root)
        return True

    def taken(self) -> tuple[bool, str | None]:
        """Return whether the leg was taken, and by which worker."""
        data = _read(self._taken)
        return (False, None) if data is None else (True, data["worker"])

    def planner(self) -> str | None:
        """Return which worker has made the plan of this attempt, and has the run's directory."""
        return Ledger(self.directory, replace(self.which, leg=Leg.PLAN)).taken()[1]

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


def _data_of(offer: LegOffer) -> dict[str, Any]:
    return {"pool": offer.pool, "hash": offer.token_hash, "grace": offer.grace, "wanted": offer.wanted}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return data if isinstance(data, dict) else None
