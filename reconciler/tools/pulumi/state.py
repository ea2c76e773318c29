"""The state that the service keeps for a stack without a backend of its own.

For Pulumi it is a directory in the run's scratch directory. `Kept` fills it before the plan. While a command changes
the stack, `saving` holds the lock in the service's store and stores the checkpoint whenever Pulumi has written it: a
run that dies loses at most the step that it was in.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.tools.base import StepFailed, TfstateBackend, TfstateNotSaved, ToolJob
from reconciler.tools.files import parse_json, read_result, write_scratch

_PAUSE = 0.2
_META = "meta.yaml"


@dataclass(frozen=True, slots=True)
class Kept:
    """The directory, and where the service keeps what is in it."""

    directory: Path
    backend: TfstateBackend
    stack: str

    @classmethod
    def of(cls, job: ToolJob) -> Kept | None:
        """Return the kept state of a job; None where the document names a backend."""
        if job.options.get("backend"):
            return None
        if job.tfstate is None:
            raise StepFailed("there is no place for the state of this run")
        return cls(job.scratch / "pulumi-state", job.tfstate, str(job.options["stack"]))

    def load(self) -> bool:
        """Fill the directory with what is stored; False: nothing is stored yet."""
        from reconciler.tools.tfstate_client import fetch  # noqa: PLC0415 - http.client is slow to import

        data = fetch(self.backend)
        self._pulumi.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        found = self._file()
        data = None if found is None else read_result(found)
        return None if not data else parse_json(data, "the checkpoint")

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Hold the lock, and store every checkpoint that is written meanwhile, the last one in any case."""
        from reconciler.tools.tfstate_client import fetch, locked  # noqa: PLC0415 - http.client is slow to import

        with locked(self.backend, {"Operation": "pulumi", "Who": "station"}) as store:
            if _serial(fetch(self.backend)) != self._serial():
                raise StepFailed("the state has changed since the plan was made: plan it anew")
            saved, stop = self._mark(), threading.Event()

            def save() -> None:
                nonlocal saved
                mark = self._mark()
                if mark is not None and mark != saved:
                    store(self._document())
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

    @property
    def _pulumi(self) -> Path:
        return self.directory / ".pulumi"

    @property
    def _serial_file(self) -> Path:
        return self.directory / "serial"

    def _serial(self) -> int:
        return int(read_result(self._serial_file) or b"0")

    def _file(self) -> Path | None:
        return next(iter(sorted((self._pulumi / "stacks").rglob(f"{self.stack.rpartition('/')[2]}.json"))), None)

    def _mark(self) -> tuple[int, int] | None:
        file = self._file()
        if file is None:
            return None
        try:
            status = os.stat(file, follow_symlinks=False)  # noqa: PTH116 - never through a link
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def _document(self) -> bytes:
        file = self._file()
        data = None if file is None else read_result(file)
        if file is None or not data:
            raise StepFailed("there is no checkpoint")
        serial = self._serial() + 1
        write_scratch(self._serial_file, str(serial).encode())
        document: Mapping[str, Any] = {
            "serial": serial,
            "lineage": "pulumi",
            "path": str(file.relative_to(self._pulumi)),
            "meta": (read_result(self._pulumi / _META) or b"").decode(),
            "checkpoint": parse_json(data, "the checkpoint"),
        }
        return json.dumps(document).encode()


def _serial(stored: bytes | None) -> int:
    document = parse_json(stored, "the state that is stored") if stored else {}
    return int(document.get("serial", 0)) if isinstance(document, dict) else 0


def _below(path: str) -> Path:
    """Return a relative path that leads nowhere else."""
    found = Path(path)
    if found.is_absolute() or ".." in found.parts:
        raise StepFailed("the state that is stored names a place outside of its directory")
    return found
