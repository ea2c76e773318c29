"""The state that the service keeps for a stack without a backend of its own.

For Pulumi it is a directory in the run's scratch directory. `KeptState` fills it before the plan. While a command
changes the stack, `saving` holds the lock in the service's store and stores the checkpoint whenever Pulumi has written
it. `unsent` finds what a run that died had written and not stored.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from reconciler.tools.base import StepFailed, TfstateBackend, TfstateNotSaved, ToolJob
from reconciler.tools.files import fresh_directory, parse_json, read_result, remove, shape_of, write_scratch

_PAUSE = 0.2
_META = "meta.yaml"
_DIRECTORY = "pulumi-state"
_SENT = "pulumi-sent.json"
"""Says in the scratch directory, while a command changes the stack, which checkpoint was stored last."""


def unsent(scratch: Path) -> bytes | None:
    """Return the checkpoint of a run that died before it could store it; None where everything is stored.

    Nothing of the run is alive any more. What it left is read as the run itself would have read it.
    """
    # A disk that fails must not keep the end of the run from being recorded.
    with suppress(StepFailed, OSError):
        sent = read_result(scratch / _SENT)
        return None if sent is None else _left(scratch, parse_json(sent, _SENT))
    return None


@shape_of("what a run has stored")
def _left(scratch: Path, sent: Any) -> bytes | None:
    kept = KeptState(scratch / _DIRECTORY, TfstateBackend("", "", ""), str(sent["stack"]))
    data = kept.read()
    return None if not data or _digest(data) == sent["digest"] else kept.document(data)


@dataclass(frozen=True, slots=True)
class KeptState:
    """The directory, and where the service keeps what is in it."""

    directory: Path
    backend: TfstateBackend
    stack: str

    @classmethod
    def of(cls, job: ToolJob) -> KeptState | None:
        """Return the kept state of a job; None where the document names a backend."""
        if job.options.get("backend"):
            return None
        if job.tfstate is None:
            raise StepFailed("there is no place for the state of this run")
        return cls(job.scratch / _DIRECTORY, job.tfstate, str(job.options["stack"]))

    def load(self) -> bool:
        """Fill the directory with what is stored; False: nothing is stored yet."""
        from reconciler.tools.tfstate_client import fetch  # noqa: PLC0415 - http.client is slow to import

        data = fetch(self.backend)
        # Anew, since what is there may be a link that a hook has made.
        fresh_directory(self.directory)
        self._pulumi.mkdir(mode=0o700)
        if data is None:
            return False
        stored = parse_json(data, "the state that is stored")
        if not isinstance(stored, dict) or "checkpoint" not in stored:
            raise StepFailed("what is stored of this stack is no state of Pulumi: it was made with another tool")
        file = self._pulumi / _below(str(stored["path"]))
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_scratch(self._pulumi / _META, str(stored["meta"]).encode())
        write_scratch(file, json.dumps(stored["checkpoint"]).encode())
        write_scratch(self._serial_file, str(int(stored.get("serial", 0))).encode())
        return True

    def checkpoint(self) -> Any:
        """Return the stack's checkpoint as Pulumi has written it last; None: there is none."""
        data = self.read()
        return None if not data else parse_json(data, "the checkpoint")

    def read(self) -> bytes | None:
        """Return the file that holds the checkpoint; None: there is none."""
        found = self._file()
        return None if found is None else self._own(found)

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Hold the lock, and store every checkpoint that is written meanwhile, the last one in any case."""
        from reconciler.tools.tfstate_client import fetch, locked  # noqa: PLC0415 - http.client is slow to import

        with locked(self.backend, {"Operation": "pulumi", "Who": "station"}) as store:
            if _serial(fetch(self.backend)) != self._serial():
                raise StepFailed("the state has changed since the plan was made: plan it anew")
            saved, stop = self._mark(), threading.Event()
            self._note_sent(self.read() or b"", self._serial())

            def save() -> None:
                nonlocal saved
                mark = self._mark()
                if mark is not None and mark != saved:
                    data = self.read()
                    store(self.document(data))
                    self._note_sent(data or b"", self._serial() + 1)
                    saved = mark

            def watch() -> None:
                while not stop.wait(_PAUSE):
                    # It may be half written, or the service be away: the next look, or the last one, comes to it.
                    with suppress(StepFailed):
                        save()

            thread = threading.Thread(target=watch, name="pulumi-state", daemon=True)
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()
                try:
                    save()
                except StepFailed as failed:
                    message = f"the state that the update left could not be stored ({failed})"
                    raise TfstateNotSaved(message, self._file() or self.directory) from None
                finally:
                    remove(self._sent)

    @property
    def _pulumi(self) -> Path:
        return self.directory / ".pulumi"

    @property
    def _serial_file(self) -> Path:
        return self.directory / "serial"

    @property
    def _sent(self) -> Path:
        return self.directory.parent / _SENT

    def _note_sent(self, data: bytes, serial: int) -> None:
        write_scratch(self._serial_file, str(serial).encode())
        write_scratch(self._sent, json.dumps({"stack": self.stack, "digest": _digest(data)}).encode())

    def _serial(self) -> int:
        return int(self._own(self._serial_file) or b"0")

    def _own(self, file: Path) -> bytes | None:
        return read_result(file, top=self.directory.parent)

    def _file(self) -> Path | None:
        name = f"{self.stack.rpartition('/')[2]}.json"
        # Below the project; an older Pulumi, or a project that it was told not to name, has it at the top.
        found = (sorted((self._pulumi / "stacks").glob(where)) for where in (f"*/{name}", name))
        return next((file for each in found for file in each), None)

    def _mark(self) -> tuple[int, int] | None:
        file = self._file()
        if file is None:
            return None
        try:
            status = os.stat(file, follow_symlinks=False)  # noqa: PTH116 - never through a link
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def document(self, data: bytes | None) -> bytes:
        """Return what is stored of a checkpoint, as the next version."""
        file = self._file()
        if file is None or not data:
            raise StepFailed("there is no checkpoint")
        document: Mapping[str, Any] = {
            "serial": self._serial() + 1,
            "lineage": "pulumi",
            "path": str(file.relative_to(self._pulumi)),
            "meta": (self._own(self._pulumi / _META) or b"").decode(),
            "checkpoint": parse_json(data, "the checkpoint"),
        }
        return json.dumps(document).encode()


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=32).hexdigest()


def _serial(stored: bytes | None) -> int:
    document = parse_json(stored, "the state that is stored") if stored else {}
    return int(document.get("serial", 0)) if isinstance(document, dict) else 0


def _below(path: str) -> Path:
    """Return a relative path that leads nowhere else."""
    found = Path(path)
    if found.is_absolute() or ".." in found.parts:
        raise StepFailed("the state that is stored names a place outside of its directory")
    return found
