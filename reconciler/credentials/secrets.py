"""Looks up the secrets that documents name, each time anew, so that a changed secret counts from the next run on.

The loop asks `problem` to find out whether a stack could run, `for_run` when a run starts, and `value` for the
credentials of repositories. Messages name a secret by its place and source, never by its value.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.files import read_in_directory
from reconciler.credentials.sealing import SealingKeys
from reconciler.credentials.sops import Opened, SopsFiles
from reconciler.credentials.vault import VaultReader
from spaces.documents.secrets import Secret, SopsSecret
from spaces.model.sealed import SealedPlace
from spaces.names import SpacePath

_log = logging.getLogger(__name__)

SHORTEST = 8
"""The fewest characters of a run's secret.

A shorter one would appear in logs by chance everywhere, and masking could not hide it.
"""
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class SecretSources:
    """The sources of secrets: sealed values, files, variables of the service, and SOPS files."""

    sealing_keys: SealingKeys | None = None
    directory: Path | None = None
    env_allowed: Collection[str] = ()
    sops: SopsFiles = field(default_factory=SopsFiles)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    by_name: Callable[[], Collection[SpacePath]] = field(default=tuple, repr=False)
    """The paths at which secrets count that an earlier version kept by the bare name of their space."""
    _said: set[Path] = field(default_factory=set, repr=False)
    _verdicts: dict[tuple[str, SealedPlace], str | None] = field(default_factory=dict, repr=False)
    """The problem of each sealed value that was opened (None: it opens).

    Opening takes a while, and the result never changes.
    """

    def value(
        self, secret: Secret, place: SealedPlace, vault: VaultReader | None = None, opened: Opened | None = None
    ) -> str:
        """Return a secret as it is; raise SecretUnreadable if it cannot be read.

        Only runs have a `vault`. `opened` keeps what SOPS files hold, so that one run opens each of them once.
        """
        if isinstance(secret, SopsSecret):
            return self.sops.value(secret, place, opened)
        if secret.vault is not None:
            if vault is None:
                raise SecretUnreadable("there is no vault integration to read it with")
            return vault.value(secret.vault)
        if secret.file is not None:
            return self._of_file(secret.file, place)
        if secret.env is not None:
            return self._of_environment(secret.env)
        if self.sealing_keys is None or secret.sealed is None:
            raise SecretUnreadable("this installation has no key for sealed values")
        return self.sealing_keys.open(secret.sealed, place, by_name=self._counts_by_name(place))

    def for_run(
        self, secret: Secret, place: SealedPlace, vault: VaultReader | None = None, opened: Opened | None = None
    ) -> str:
        """Return a secret that a run may get, which must be maskable; raise SecretUnreadable with its place."""
        try:
            return _usable(self.value(secret, place, vault, opened))
        except SecretUnreadable as error:
            raise SecretUnreadable(f"{place}, {secret}: {error}") from None

    def problem(self, secret: Secret, place: SealedPlace) -> str | None:
        """Return why a run could not get a secret; None if it can, or if only the run itself finds out."""
        if isinstance(secret, SopsSecret):
            wrong = self.sops.problem(secret, place, _usable)
            return None if wrong is None else f"{place}, {secret}: {wrong}"
        if secret.vault is not None:
            return None
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
        name = f"the secret file {file} of {place.ref.space}"
        if self.directory is None:
            raise SecretUnreadable(f"{name} needs the setting secrets_dir")
        directory = self.directory / place.path
        if not os.path.lexists(directory / file) and self._counts_by_name(place):
            earlier = self.directory / place.ref.space
            if os.path.lexists(earlier / file):
                self._say_moved(earlier, directory)
                directory = earlier
        return read_in_directory(directory, file, name)

    def _counts_by_name(self, place: SealedPlace) -> bool:
        return place.words != place.words_by_name and place.path in self.by_name()

    def _say_moved(self, earlier: Path, directory: Path) -> None:
        if directory not in self._said:
            self._said.add(directory)
            _log.warning("secret files are read from %s, as earlier versions did: move them to %s", earlier, directory)

    def _of_environment(self, name: str) -> str:
        if name not in self.env_allowed:
            raise SecretUnreadable(f"the variable {name} is not in the setting env_allowed")
        value = self.environ.get(name)
        if value is None:
            raise SecretUnreadable(f"the variable {name} is not set for the service")
        return value


def _usable(value: str) -> str:
    if len(value.strip()) < SHORTEST:
        raise SecretUnreadable(f"it is shorter than {SHORTEST} characters, too short to be masked: use a longer one")
    if "\0" in value:
        raise SecretUnreadable("it contains a NUL character")
    return value
