"""Sealed values: encrypted to the installation's age key, each bound to the place that it is for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pyrage
from pyrage import x25519

from reconciler.credentials.errors import SecretUnreadable
from reconciler.keyfiles import NotPrivate, create, read_private
from spaces.model.sealed import SealedPlace, read, write
from spaces.names import Kind

MAX_BYTES = 64 * 1024
"""The most bytes of a secret."""


class CannotSeal(Exception):
    """A value cannot be sealed. The message says why."""


class KeyFileError(Exception):
    """The file with the keys cannot be used. The message names it and says why."""


def seal(value: str, place: SealedPlace, recipient: str) -> str:
    """Return a value sealed for one place: it opens at no other.

    Raise CannotSeal for a bad recipient or a huge value.
    """
    if len(value.encode()) > MAX_BYTES:
        raise CannotSeal(f"the value is longer than {MAX_BYTES // 1024} KiB")
    try:
        key = x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError:
        raise CannotSeal(f"{recipient[:80]!r} is not an age recipient: it begins with age1") from None
    content = json.dumps({"for": place.words, "value": value}, ensure_ascii=False)
    return write(pyrage.encrypt(content.encode(), [key]), place)


class SealingKeys:
    """The installation's age keys. Values are sealed to the first one; each can open them."""

    def __init__(self, identities: Sequence[x25519.Identity]) -> None:
        self._identities = list(identities)
        self.recipient = str(self._identities[0].to_public())
        """The public key to which values are sealed. It is no secret."""

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Return the age keys of a file, one a line, the newest first; create it (mode 0600) if it is missing."""
        try:
            if not path.exists():
                create(path, _fresh().encode())
            lines = [line.strip() for line in read_private(path).splitlines()]
        except NotPrivate as error:
            raise KeyFileError(f"sealing_key_file {path}: {error}") from None
        except OSError as error:
            raise KeyFileError(f"sealing_key_file {path}: {error.strerror}") from None
        try:
            keys = [x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
        except pyrage.IdentityError:
            raise KeyFileError(f"sealing_key_file {path}: a line is not an age key (AGE-SECRET-KEY-1…)") from None
        if not keys:
            raise KeyFileError(f"sealing_key_file {path}: it holds no key")
        return cls(keys)

    def __repr__(self) -> str:
        """Return the recipient, never the keys."""
        return f"SealingKeys({self.recipient})"

    def open(self, sealed: str, place: SealedPlace, *, by_name: bool = False) -> str:
        """Return a value opened at its place; raise SecretUnreadable if it is damaged, or for another key or place.

        `by_name`: a value of an earlier version opens, too, which was sealed for the name of the place's space.
        """
        try:
            data = read(sealed)
        except ValueError as wrong:
            raise SecretUnreadable(f"the sealed value {wrong}") from None
        try:
            content = json.loads(pyrage.decrypt(data, self._identities))
            words, value = content["for"], content["value"]
        except pyrage.DecryptError as error:
            if "matching" in str(error):
                raise SecretUnreadable(
                    "the sealed value is for a key that this installation does not have: seal the value again, "
                    "or add that key to sealing_key_file"
                ) from None
            raise SecretUnreadable("the sealed value is damaged: seal the value again") from None
        except (ValueError, KeyError, TypeError):
            raise SecretUnreadable("the sealed value was not made by station seal: seal the value again") from None
        good = (place.words, place.words_by_name) if by_name else (place.words,)
        if words not in good or not isinstance(value, str):
            raise SecretUnreadable(
                f"the value is sealed for {_place_in_words(words, place)}, but used as {place}: seal the value again"
            )
        return value


def _fresh() -> str:
    identity = x25519.Identity.generate()
    return f"# {identity.to_public()}\n{identity}\n"


def _place_in_words(words: object, used: SealedPlace) -> str:
    match words:
        case [str(kind), str(path), str(name), str(key)] if kind in set(Kind):
            sealed = SealedPlace.of(Kind(kind), path, name, key)
            same = (sealed.ref, sealed.key) == (used.ref, used.key)
            return f"{sealed} when that space was elsewhere" if same else str(sealed)
        case _:
            return "another place"
