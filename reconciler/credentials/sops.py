"""Opens SOPS files with the age keys of the space whose document names them, by the program sops.

An installation has its age keys in a directory for each space, by its path, and a document's files open with the keys
of its own space alone: who copies a file to another space gets nothing. Before the program starts, the file's own key
is opened here. So sops never has a reason to ask anybody else that the file names, such as a key service or a Vault.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyrage
from pyrage import x25519

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.files import read_in_directory
from spaces.documents.secrets import SopsSecret
from spaces.model.sealed import SealedPlace
from spaces.names import SpaceName
from spaces.reading.sops import JSON, NoValue, at, read_sops, single

PROGRAM = "sops"
KEYS = "keys.txt"
"""The file with the age keys of a space, in its directory."""
SECONDS = 20.0
"""How long opening one file may take."""
_REMEMBERED = 10_000
_BAD_MAC = re.compile(rb"\bMAC\b.*mismatch|mismatch.*\bMAC\b", re.IGNORECASE)

Opened = MutableMapping[str, Any]
"""What files hold that were opened for one run, by their fingerprint."""


@dataclass(frozen=True, slots=True)
class SopsFiles:
    """Opens files with the keys in `directory`, by the program found on `search_path`."""

    directory: Path | None = None
    search_path: str = os.defpath
    _verdicts: dict[str, Mapping[str, str | None] | str] = field(default_factory=dict, repr=False)
    """Of each file that was opened: why a run could not use a value, by its keys; or why the file does not open."""

    def value(self, secret: SopsSecret, place: SealedPlace, opened: Opened | None = None) -> str:
        """Return a secret for a place in a document; SecretUnreadable says why it cannot be had."""
        keys = self._keys(place)
        name = _fingerprint(secret, keys)
        content = None if opened is None else opened.get(name)
        if content is None:
            content = self._content(secret, place, keys)
            if opened is not None:
                opened[name] = content
        try:
            value = at(content, secret.keys) if secret.keys else content
        except NoValue as missing:
            raise SecretUnreadable(str(missing)) from None
        if not single(value):
            raise SecretUnreadable("it is no single value")
        return _text(value)

    def problem(self, secret: SopsSecret, place: SealedPlace, usable: Callable[[str], object]) -> str | None:
        """Return why a run could not get a secret, as `value` or then `usable` say it; None if it can.

        A file is opened once for all its values: what came of it stays true as long as it and the keys are the same.
        """
        try:
            keys = self._keys(place)
            name = _fingerprint(secret, keys)
            verdict = self._verdicts.get(name)
            if verdict is None:
                self._program()  # outside of what is remembered: it may come
                verdict = self._judge(secret, place, keys, usable)
        except SecretUnreadable as error:
            return str(error)
        if len(self._verdicts) >= _REMEMBERED:
            self._verdicts.clear()
        self._verdicts[name] = verdict
        return verdict if isinstance(verdict, str) else verdict.get(secret.keys, "it is no single value")

    def _judge(
        self, secret: SopsSecret, place: SealedPlace, keys: str, usable: Callable[[str], object]
    ) -> Mapping[str, str | None] | str:
        try:
            content = self._content(secret, place, keys)
        except SecretUnreadable as error:
            return str(error)
        found: dict[str, str | None] = {}
        for path, value in _values(content, ()):
            try:
                usable(_text(value))
                found[path] = None
            except SecretUnreadable as error:
                found[path] = str(error)
        return found

    def _keys(self, place: SealedPlace) -> str:
        if self.directory is None:
            raise SecretUnreadable("opening SOPS files needs the setting sops_keys_dir")
        return read_in_directory(
            self.directory / place.path, KEYS, f"the file {KEYS} with the age keys of {place.ref.space}"
        )

    def _program(self) -> str:
        program = find_sops(self.search_path)
        if program is None:
            raise SecretUnreadable("the program sops is not installed for the service")
        return program

    def _content(self, secret: SopsSecret, place: SealedPlace, keys: str) -> Any:
        """Return the whole text of a file, or its tree where a key is wanted."""
        file = read_sops(secret.path, secret.data)
        if file is None:
            raise SecretUnreadable("the file is not encrypted by sops to an age key")
        if not _opens(file.stanzas, _identities(keys, place.ref.space)):
            why = f"the file is encrypted to none of the age keys of {place.ref.space}"
            raise SecretUnreadable(f"{why}: add one to its recipients and run sops updatekeys")
        form = JSON if secret.keys else file.format
        command = [self._program(), "--decrypt", "--input-type", file.format, "--output-type", form, "/dev/stdin"]
        data = _run(command, secret.data, keys)
        try:
            return json.loads(data) if secret.keys else data.decode()
        except (ValueError, RecursionError):
            what = "JSON" if secret.keys else "UTF-8 text"
            raise SecretUnreadable(f"what sops finds in it is no {what}") from None


def find_sops(search_path: str) -> str | None:
    """Return the program sops; None where it is not installed."""
    return shutil.which(PROGRAM, path=search_path)


def _run(command: list[str], data: bytes, keys: str) -> bytes:
    """Return what sops prints. Of what it says when it fails nothing is told: that may hold a value."""
    # In memory alone: neither the arguments nor the environment of a process hold keys.
    handle = os.memfd_create("age-keys", os.MFD_CLOEXEC)
    try:
        os.write(handle, keys.encode())
        env = {
            "PATH": os.defpath,
            "HOME": "/nonexistent",
            "SOPS_AGE_KEY_FILE": f"/dev/fd/{handle}",
            "SOPS_DECRYPTION_ORDER": "age",
            "SOPS_DISABLE_VERSION_CHECK": "true",
        }
        ended = subprocess.run(
            command, input=data, capture_output=True, env=env, pass_fds=(handle,), timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise SecretUnreadable(f"sops takes longer than {SECONDS:.0f} s") from None
    except OSError as error:
        raise SecretUnreadable(f"sops cannot be started: {error.strerror}") from None
    finally:
        os.close(handle)
    if ended.returncode == 0:
        return ended.stdout
    if _BAD_MAC.search(ended.stderr):
        raise SecretUnreadable("the file was changed without sops: its checksum does not fit")
    raise SecretUnreadable(f"sops cannot open the file (exit code {ended.returncode}): try sops decrypt by hand")


def _identities(keys: str, space: SpaceName) -> list[x25519.Identity]:
    lines = (line.strip() for line in keys.splitlines())
    try:
        found = [x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:
        raise SecretUnreadable(
            f"the file {KEYS} of {space} has a line that is no age key (AGE-SECRET-KEY-1…)"
        ) from None
    if not found:
        raise SecretUnreadable(f"the file {KEYS} of {space} holds no age key")
    return found


def _opens(stanzas: tuple[str, ...], identities: list[x25519.Identity]) -> bool:
    for stanza in stanzas:
        try:
            pyrage.decrypt(stanza.encode(), identities)
        except (pyrage.DecryptError, ValueError):
            continue
        return True
    return False


def _values(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _values(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _values(value, (*path, str(index)))
    elif single(tree):
        yield "/".join(path), tree


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _fingerprint(secret: SopsSecret, keys: str) -> str:
    parts = (secret.path.encode(), b"tree" if secret.keys else b"text", secret.data, keys.encode())
    return hashlib.blake2b(b"".join(hashlib.blake2b(part).digest() for part in parts)).hexdigest()
