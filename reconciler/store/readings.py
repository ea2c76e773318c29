"""What files of documents were read to hold, remembered on disk: a service that starts again reads no YAML twice.

So it is with rules of policies that were found in order: whatever reads them is a process of its own.

A cache and nothing else: it can be deleted at any time, and whatever is wrong with it, files are read as ever.
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
"""A cache that has grown beyond this, by ever new versions of documents, begins anew."""

_ASKED = 256
"""Readings that are looked up at once: databases take no more than some hundred values in a statement."""
_WRITTEN = 256
"""Readings that are written at once; a process that is killed loses so many at most, and they are read again."""
_READERS = ("documents.py", "fast_parser.py", "parser.py")
_LIBRARIES = ("ruamel.yaml", "ruamel.yaml.clib")
_TABLE = "CREATE TABLE IF NOT EXISTS readings (key BLOB PRIMARY KEY, mark BLOB, value BLOB)"
_log = logging.getLogger(__name__)


class Readings:
    """Reads files as `parse_documents` does, each content once. Safe for several threads, and several processes.

    Only files without any fault are remembered: what is told of the others needs their places, and thus their text.
    """

    def __init__(self, path: Path) -> None:
        """Remember in the file at `path`, which is made where there is none."""
        self._lock = threading.Lock()
        self._reader = _reader()
        self._connection = _open(path)
        self._unwritten: list[tuple[bytes, bytes, bytes]] = []

    @classmethod
    def at(cls, data_dir: Path) -> Self:
        """Remember in its place in a data directory."""
        return cls(data_dir / "readings.db")

    def read(self, batch: Sequence[tuple[str, bytes]]) -> list[ReadFile]:
        """Give the documents of ours in files, each its path and its bytes, as `parse_documents` does."""
        keys = [blake2b(data, digest_size=16, key=self._reader).digest() for _, data in batch]
        known = {key: _read_file(value) for key, value in self._recall(keys).items()}
        result = []
        for key, (file, data) in zip(keys, batch, strict=True):
            found = known.get(key)
            if found is None:
                found = parse_documents(file, data)
                self._remember(key, found)
            result.append(found)
        return result

    def checking(self, check: CheckRego, engine: bytes) -> CheckRego:
        """Give `check`, asked only about rules that were not found in order before by the same `engine`."""

        def checked(texts: Sequence[RegoText]) -> Mapping[RegoText, tuple[RegoFinding, ...]]:
            keys = {text: _rule(text, engine) for text in texts}
            known = self._recall(list(keys.values()))
            unknown = [text for text, key in keys.items() if key not in known]
            found = check(unknown) if unknown else {}
            for text in unknown:
                if found.get(text) == ():
                    self._put(keys[text], b"")
            return found

        return checked

    def close(self) -> None:
        """Write down what is left, and let go of the file."""
        with self._lock:
            self._write()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _recall(self, keys: list[bytes]) -> dict[bytes, bytes]:
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(keys), _ASKED):
            some = keys[start : start + _ASKED]
            with self._lock:
                found += self._execute(partial(_select, keys=some))
        # A disk that loses bits must not change what comes into force.
        return {key: value for key, mark, value in found if isinstance(value, bytes) and mark == _mark(key, value)}

    def _remember(self, key: bytes, read: ReadFile) -> None:
        if not read.documents or read.diagnostics or read.unreadable is not None:
            return
        try:
            value = to_json([[document.index, document.value] for document in read.documents])
        except ValueError:
            return  # text with half a character in it
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
        """Do some work and give its rows; none where it fails."""
        if self._connection is None:
            return []
        try:
            with self._connection:
                return work(self._connection).fetchall()
        except sqlite3.OperationalError as error:
            # A full disk, or another process that writes: reading the file again costs little.
            _log.debug("a file is not remembered: %s", error)
        except sqlite3.Error as error:
            _log.warning("what files hold is not remembered any more: %s", error)
            self._connection.close()
            self._connection = None
        return []


def _select(connection: sqlite3.Connection, keys: list[bytes]) -> sqlite3.Cursor:
    places = ",".join("?" * len(keys))
    return connection.execute(f"SELECT key, mark, value FROM readings WHERE key IN ({places})", keys)  # noqa: S608


def _read_file(value: bytes) -> ReadFile:
    return ReadFile([Document(index, each, sound=True) for index, each in load(value)], [], None)


def _rule(text: RegoText, engine: bytes) -> bytes:
    return blake2b(
        f"{text.type.value}\0{text.text}".encode(errors="surrogatepass"), digest_size=16, key=engine
    ).digest()


def _mark(key: bytes, value: bytes) -> bytes:
    return blake2b(value, digest_size=8, key=key).digest()


def _reader() -> bytes:
    """Name whatever decides what a file holds: what another one remembered is not found."""
    said = blake2b(digest_size=16)
    for name in _READERS:
        said.update((files("spaces.reading") / name).read_bytes())
    for library in _LIBRARIES:
        said.update(version(library).encode())
    return said.digest()


def _open(path: Path) -> sqlite3.Connection | None:
    """Open the cache, or a new one where it is damaged or too large; None where there can be none."""
    for damaged in (False, True):
        try:
            if damaged or (path.exists() and path.stat().st_size > MOST_BYTES):
                _remove(path)
            return _connect(path)
        except (OSError, sqlite3.OperationalError) as error:
            _log.info("what files hold is not remembered in %s: %s", path, error)
            return None
        except sqlite3.Error as error:
            _log.info("%s is damaged and begins anew: %s", path, error)
    return None


def _connect(path: Path) -> sqlite3.Connection:
    # Another process that writes is waited for shortly: reading a file again costs less.
    connection = sqlite3.connect(path, timeout=0.1, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        # What a power failure takes is read again.
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
