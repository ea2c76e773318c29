"""Where documents hold secrets."""

from __future__ import annotations

from collections.abc import Mapping

from spaces.model.base import Path
from spaces.model.configuration import Configuration
from spaces.model.repository import RepositorySpec
from spaces.model.secrets import SecretRef
from spaces.resources import Resource


def secrets_in(resource: Resource) -> list[tuple[Path, str, SecretRef]]:
    """List every secret of a document: its path, the key that it is sealed for, and where it comes from."""
    spec = resource.spec
    sections: Mapping[str, Mapping[str, object]] = {}
    if isinstance(spec, Configuration):
        sections = {"env": spec.env, "files": spec.files}
    elif isinstance(spec, RepositorySpec) and spec.credentials is not None:
        sections = {"credentials": {"password": spec.credentials.password, "sshKey": spec.credentials.ssh_key}}
    return [
        (("spec", section, key), key, value)
        for section, values in sections.items()
        for key, value in values.items()
        if isinstance(value, SecretRef)
    ]
