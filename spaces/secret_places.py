"""Where documents hold secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spaces.model.base import Path
from spaces.model.configuration import Configuration
from spaces.model.repository import RepositorySpec
from spaces.model.secrets import SecretRef
from spaces.resources import Resource


def secrets_in(resource: Resource) -> Iterator[tuple[Path, str, SecretRef]]:
    """Give every secret of a document: its path, the key that it is sealed for, and where it comes from."""
    spec = resource.spec
    match spec:
        case Configuration():
            yield from _of_values("env", spec.env)
            yield from _of_values("files", spec.files)
        case RepositorySpec() if spec.credentials is not None:
            yield from _of_values(
                "credentials", {"password": spec.credentials.password, "sshKey": spec.credentials.ssh_key}
            )
        case _:
            return


def _of_values(section: str, values: Mapping[str, object]) -> Iterator[tuple[Path, str, SecretRef]]:
    for key, value in values.items():
        if isinstance(value, SecretRef):
            yield ("spec", section, key), key, value
