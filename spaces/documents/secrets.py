"""The secrets of a document with all that is needed to read them: those in SOPS files come with their file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from spaces.model.repository import DEFAULT_USER, RepositorySpec
from spaces.model.secrets import SecretRef
from spaces.reading.attachments import place_of
from spaces.reading.resources import Resource


@dataclass(frozen=True, slots=True)
class SopsSecret:
    """A secret in a SOPS file of the repository, with the file's content as of the document in force.

    `keys` lead to the value, joined by /; they are empty for the whole file.
    """

    path: str
    keys: str
    data: bytes = field(repr=False)

    def __str__(self) -> str:
        """Return where the value comes from, never the value."""
        return f"{self.keys} in the SOPS file {self.path}" if self.keys else f"the SOPS file {self.path}"


Secret: TypeAlias = SecretRef | SopsSecret


@dataclass(frozen=True, slots=True)
class Login:
    """How to sign in to a repository: with the secret `key`, which is password or sshKey."""

    username: str
    key: str
    secret: Secret


def secret_of(resource: Resource, secret: SecretRef) -> Secret:
    """Return a secret that a document names, with its file."""
    if secret.sops is None or secret.sops_file is None:
        return secret
    keys = secret.sops.partition("#")[2]
    return SopsSecret(place_of(resource.file, secret.sops_file), keys, resource.attached(secret.sops_file))


def login_of(repository: Resource) -> Login | None:
    """Return how to sign in to a repository; None for one without credentials."""
    spec = repository.spec
    given = spec.credentials if isinstance(spec, RepositorySpec) else None
    if given is None:
        return None
    ((_, key, secret),) = spec.secrets()
    return Login(given.username or DEFAULT_USER, key, secret_of(repository, secret))
