"""Secrets at rest: AES-256-GCM under one of several keys, with each value bound to its place."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reconciler.keyfiles import NotPrivate, create, read_private
from reconciler.store.stored import CannotUnseal, StoreError
from reconciler.store.texts import dump

_VERSION = b"\x01"
_KEY_BYTES = 32
_ID_BYTES = 8
_NONCE_BYTES = 12
_HEAD = len(_VERSION) + _ID_BYTES + _NONCE_BYTES


class Keys:
    """A ring of keys. The first key seals, every key opens."""

    def __init__(self, keys: Sequence[bytes], where: str = "encryption_key_file") -> None:
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise StoreError(f"an encryption key has {_KEY_BYTES} bytes, and there must be at least one")
        self._ring = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])
        self._signing = tuple(hashlib.blake2b(key, digest_size=32, person=b"station signs").digest() for key in keys)
        self._marking = hashlib.blake2b(keys[0], digest_size=32, person=b"station marks").digest()
        self._carrying = hashlib.blake2b(keys[0], digest_size=32, person=b"station carries").digest()
        self.where = where
        """Where the keys come from, for messages."""
        self._unmade: Path | None = None

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the keys of a file. A missing file is created only by `make`, once it is clear that none was lost."""
        if path.exists():
            return cls.load_or_create(path)
        keys = cls([secrets.token_bytes(_KEY_BYTES)], str(path))
        keys._unmade = path
        return keys

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the keys, in hex; none until the file is created."""
        return frozenset() if self._unmade is not None else frozenset(key.hex() for key in self._ring)

    @property
    def current(self) -> str:
        """The id, in hex, of the key that seals."""
        return self._current.hex()

    def make(self) -> None:
        """Create the missing key file, or take over one that another process created meanwhile."""
        if self._unmade is not None:
            made = type(self).load_or_create(self._unmade)
            self.__dict__.update(vars(made))

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Return the keys of a file, one base64 key a line, the newest first; create it (mode 0600) if it is missing.

        Raise StoreError if others can read the file, or if it contains anything else.
        """
        try:
            if not path.exists():
                create(path, base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
            text = read_private(path)
        except NotPrivate as error:
            raise StoreError(f"encryption_key_file {path}: {error}") from None
        except OSError as error:
            raise StoreError(f"encryption_key_file {path}: {error.strerror}") from None
        lines = [line.strip() for line in text.splitlines()]
        try:
            keys = [base64.b64decode(line, validate=True) for line in lines if line and not line.startswith("#")]
        except (binascii.Error, ValueError):
            raise StoreError(f"encryption_key_file {path}: a line is not a base64 key") from None
        try:
            return cls(keys, str(path))
        except StoreError as error:
            raise StoreError(f"encryption_key_file {path}: {error}") from None

    def __repr__(self) -> str:
        """Return the ids of the keys, never their bytes."""
        return f"Keys({', '.join(key.hex() for key in self._ring)})"

    def mark(self, plain: bytes) -> str:
        """Return 24 digits that distinguish values, and that nobody without the key can compute to confirm a guess."""
        return hashlib.blake2b(plain, digest_size=12, key=self._marking, person=b"station mark").hexdigest()

    def carry_key(self, run: str) -> str:
        """Return the key, in hex, under which a run keeps what its apply leg needs. It opens nothing else."""
        return hashlib.blake2b(run.encode(), digest_size=32, key=self._carrying, person=b"station carry").hexdigest()

    @property
    def signing_seeds(self) -> tuple[bytes, ...]:
        """What the service's own signing keys are made of, for each key of the ring. They open nothing."""
        return self._signing

    def seal(self, plain: bytes, table: str, stack: int, name: str) -> bytes:
        """Return a value encrypted for one place: it opens at no other place."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ring[self._current].encrypt(nonce, plain, _place(table, stack, name))
        return _VERSION + self._current + nonce + sealed

    def open(self, sealed: bytes, table: str, stack: int, name: str) -> bytes:
        """Return a value decrypted at its place.

        Raise CannotUnseal if the key is missing or the bytes are not as sealed.
        """
        if len(sealed) <= _HEAD or sealed[:1] != _VERSION:
            raise CannotUnseal(f"an encrypted value in {table} ({name}) was not written by this version, or is damaged")
        identity, nonce = sealed[1 : 1 + _ID_BYTES], sealed[1 + _ID_BYTES : _HEAD]
        cipher = self._ring.get(identity)
        if cipher is None:
            raise CannotUnseal(
                f"an encrypted value in {table} ({name}) needs the key {identity.hex()}, "
                "which encryption_key_file does not hold: add that key to the file"
            )
        try:
            return cipher.decrypt(nonce, sealed[_HEAD:], _place(table, stack, name))
        except InvalidTag:
            raise CannotUnseal(
                f"an encrypted value in {table} ({name}) does not open: it was changed, or copied from another place"
            ) from None


def _key_id(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=_ID_BYTES, person=b"station key id").digest()


def _place(table: str, stack: int, name: str) -> bytes:
    return dump([table, stack, name]).encode()
