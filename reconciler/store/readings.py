"""A cache on disk of the documents in files, so that a service that starts again parses no YAML twice.

It also remembers rules of policies that were found valid, because checking them takes a process of its own. It is only
a cache: it can be deleted at any time, and when it fails, files are read as if there were none.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic_core import to_json

from reconciler.store.texts import load
from spaces.reading.documents import Document, ReadFile, parse_documents
from spaces.reading.rego import CheckRego, RegoFinding, RegoText

MOST_BYTES = 512 * 2**20
"""The size above which the cache is deleted and started again: it grows with every version of a document."""

_ASKED = 256
"""The entries that are looked up at once: databases accept only some hundred values in one statement."""
_WRITTEN = 256
"""The entries that are written at once. A killed process loses at most these, and they are read again."""
_READERS = ("documents.py", "fast_parser.py", "parser.py")
_LIBRARIES = ("ruamel.yaml", "ruamel.yaml.clib")
_TABLE = "CREATE TABLE IF NOT EXISTS readings (key BLOB PRIMARY KEY, mark BLOB, value BLOB)"
_log = logging.getLogger(__name__)


class Readings:
    """Reads files as `parse_documents` does, each content once. Threads and processes may share it.

    Only files without any fault are remembered: diagnostics need positions, and thus the text.
    """

    def __init__(self, path: Path) -> None:
        """Use the cache file at `path`, which is created if there is none."""
        self._lock = threading.Lock()
        self._reader = _reader()
        self._connection = _open(path)
        self._unwritten: list[tuple[bytes, bytes, bytes]] = []

    @classmethod
    def at(cls, data_dir: Path) -> Self:
        """Return the cache of a data directory."""
        return cls(data_dir / "readings.db")

    def read(self, batch: Sequence[tuple[str, bytes]]) -> list[ReadFile]:
        """Return our documents in the files (path, bytes), as `parse_documents` does."""
        keys = [blake2b(data, digest_size=16, key=self._reader).digest() for _, data in batch]
        known = {key: _read_file(value) for key, value in self._recall(keys).items()}
        result = []
        for key, (file, data) in zip(keys, batch, strict=True):
            read = known.get(key)
            if read is None:
                read = parse_documents(file, data)
                self._remember(key, read)
            result.append(read)
        return result

    def checking(self, check: CheckRego, engine: bytes) -> CheckRego:
        """Return `check` in a form that skips rules which the same `engine` found valid before."""

        def checked(texts: Sequence[RegoText]) -> Mapping[RegoText, tuple[RegoFinding, ...]]:
            keys = {text: _rule(text, engine) for text in texts}
            known = self._recall(list(keys.values()))
            unknown = [text for text, key in keys.items() if key not in known]
            findings = check(unknown) if unknown else {}
            for text in unknown:
                if findings.get(text) == ():
                    self._put(keys[text], b"")
            return findings

        return checked

    def close(self) -> None:
        """Write what is still pending, and close the file."""
        with self._lock:
            self._write()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _recall(self, keys: list[bytes]) -> dict[bytes, bytes]:
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(keys), _ASKED):
            some = keys[start : start + _ASKED]
            with self._lock:
                rows += self._execute(partial(_select, keys=some))
        # A disk that loses bits must not change which documents come into force.
        return {key: value for key, mark, value in rows if isinstance(value, bytes) and mark == _mark(key, value)}

    def _remember(self, key: bytes, read: ReadFile) -> None:
        if not read.documents or read.diagnostics or read.unreadable is not None:
            return
        try:
            value = to_json([[document.index, document.value] for document in read.documents])
        except ValueError:
            return  # a text contains half of a surrogate pair
        self._put(key, value)

    def _put(self, key: bytes, value: bytes) -> None:
        with self._lock:
            self._unwritten.append((key, _mark(key, value), value))
            if len(self._unwritten) >= _WRITTEN:
                self._write()

    def _write(self) -> None:
        batch, self._unwritten = self._unwritten, []
        if batch:
            self._execute(lambda it: it.executemany("INSERT OR REPLACE INTO readings VALUES (?, ?, ?)", batch))

    def _execute(self, work: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> list[tuple[Any, ...]]:
        """Run some work in a transaction and return its rows; none if it fails."""
        if self._connection is None:
            return []
        try:
            with self._connection:
                return work(self._connection).fetchall()
        except sqlite3.OperationalError as error:
            # The disk is full, or another process writes. Reading the file again costs little.
            _log.debug("the cache of parsed files skipped a file: %s", error)
        except sqlite3.Error as error:
            _log.warning("the cache of parsed files is switched off: %s", error)
            self._connection.close()
            self._connection = None
        return []


def _select(connection: sqlite3.Connection, keys: list[bytes]) -> sqlite3.Cursor:
    places = ",".join("?" * len(keys))
    return connection.execute(f"SELECT key, mark, value FROM readings WHERE key IN ({places})", keys)  # noqa: S608


def _read_file(value: bytes) -> ReadFile:
    return ReadFile([Document(index, document, sound=True) for index, document in load(value)], [], None)


def _rule(text: RegoText, engine: bytes) -> bytes:
    return blake2b(
        f"{text.type.value}\0{text.text}".encode(errors="surrogatepass"), digest_size=16, key=engine
    ).digest()


def _mark(key: bytes, value: bytes) -> bytes:
    return blake2b(value, digest_size=8, key=key).digest()


def _reader() -> bytes:
    """Return a key over everything that decides how a file is read.

    Results of another version are not found under it.
    """
    total = blake2b(digest_size=16)
    for name in _READERS:
        total.update((files("spaces.reading") / name).read_bytes())
    for library in _LIBRARIES:
        total.update(version(library).encode())
    return total.digest()


def _open(path: Path) -> sqlite3.Connection | None:
    """Return the cache, or a new one if it is damaged or too large; None if it cannot be used."""
    for damaged in (False, True):
        try:
            if damaged or (path.exists() and path.stat().st_size > MOST_BYTES):
                _remove(path)
            return _connect(path)
        except (OSError, sqlite3.OperationalError) as error:
            _log.info("the cache of parsed files in %s cannot be used: %s", path, error)
            return None
        except sqlite3.Error as error:
            _log.info("the cache of parsed files in %s is damaged and starts empty: %s", path, error)
    return None


def _connect(path: Path) -> sqlite3.Connection:
    # A short wait for another process that writes: reading the file again costs less than a long one.
    connection = sqlite3.connect(path, timeout=0.1, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        # Files that a power failure loses here are read again.
        connection.execute("PRAGMA synchronous = OFF").fetchone()
        connection.execute(_TABLE)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
