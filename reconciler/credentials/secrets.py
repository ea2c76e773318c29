"""Finds the secrets that documents name, anew each time, so that one that was changed counts from the next run on."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.files import read_in_directory
from reconciler.credentials.sealing import Identities
from spaces.model.sealed import SealedPlace
from spaces.model.secrets import SecretRef

SHORTEST = 8
"""Characters that a secret of a run must have: a shorter one would be found everywhere by chance, and so be no secret
in a log that is masked."""
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where secrets come from. Messages name a secret by its place and source, never by its value."""

    identities: Identities | None = None
    directory: Path | None = None
    env_allowed: Collection[str] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    _verdicts: dict[tuple[str, SealedPlace], str | None] = field(default_factory=dict, repr=False)
    """What is wrong with each sealed value that was looked at: to open one takes a while, and it stays as it is."""

    def value(self, secret: SecretRef, place: SealedPlace) -> str:
        """Give a secret as it is; SecretUnreadable where it cannot be had."""
        if secret.file is not None:
            return self._of_file(secret.file, place)
        if secret.env is not None:
            return self._of_environment(secret.env)
        if self.identities is None or secret.sealed is None:
            raise SecretUnreadable("there is no key here that opens sealed values")
        return self.identities.open(secret.sealed, place)

    def for_run(self, secret: SecretRef, place: SealedPlace) -> str:
        """Give a secret that a run may get: one that can be masked. SecretUnreadable names its place."""
        try:
            return _usable(self.value(secret, place))
        except SecretUnreadable as error:
            raise SecretUnreadable(f"{place}, {secret}: {error}") from None

    def problem(self, secret: SecretRef, place: SealedPlace) -> str | None:
        """Say why a run could not get a secret; None when it can."""
        key = (secret.sealed or "", place)
        if secret.sealed is not None and key in self._verdicts:
            return self._verdicts[key]
        try:
            self.for_run(secret, place)
            verdict = None
        except SecretUnreadable as error:
            verdict = str(error)
        if secret.sealed is not None:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            self._verdicts[key] = verdict
        return verdict

    def _of_file(self, file: str, place: SealedPlace) -> str:
        name = f"the secret file {place.ref.space}/{file}"
        if self.directory is None:
            raise SecretUnreadable(f"{name} needs the setting secrets_dir")
        return read_in_directory(self.directory / place.ref.space, file, name)

    def _of_environment(self, name: str) -> str:
        if name not in self.env_allowed:
            raise SecretUnreadable(f"the variable {name} is not in the setting env_allowed")
        value = self.environ.get(name)
        if value is None:
            raise SecretUnreadable(f"the variable {name} is not set for the service")
        return value


def _usable(value: str) -> str:
    if len(value.strip()) < SHORTEST:
        raise SecretUnreadable(f"it is shorter than {SHORTEST} characters, too short to be masked: take a longer one")
    if "\0" in value:
        raise SecretUnreadable("it holds a NUL character")
    return value
