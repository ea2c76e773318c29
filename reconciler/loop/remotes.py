"""Which remotes are followed, and how to sign in to each: from the settings and the Repository documents in force."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.core.reasons import Reason
from reconciler.core.state import Problem
from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.files import read_secret_file
from reconciler.credentials.secrets import Secrets
from reconciler.git.mirrors import Remote
from reconciler.git.remote import Credentials
from reconciler.settings import Settings
from spaces.effective import ResolvedSource
from spaces.model.repository import RepositorySpec
from spaces.placed import PlacedDocuments
from spaces.sealed import Place

_USER = "git"
"""Whom forges expect where nobody is named."""


@dataclass(frozen=True, slots=True)
class Remotes:
    """Finds remotes and reads the secrets for them anew every time, so that a rotated one counts at once."""

    settings: Settings
    secrets: Secrets = field(default_factory=Secrets)

    def configuration(self) -> Remote:
        """Give the configuration repository; SecretUnreadable where its credentials cannot be read."""
        settings = self.settings
        credentials = None
        if settings.config_ssh_key_file is not None:
            key = read_secret_file(settings.config_ssh_key_file, "config_ssh_key_file")
            credentials = Credentials(username=settings.config_username or _USER, ssh_key=key)
        elif settings.config_password_file is not None:
            password = read_secret_file(settings.config_password_file, "config_password_file").strip()
            credentials = Credentials(username=settings.config_username or _USER, password=password)
        return Remote(settings.config_url or "", settings.config_branch, credentials)

    def of_source(self, documents: PlacedDocuments, source: ResolvedSource) -> Remote | Problem:
        """Give the remote of a source in another repository; a Problem where its credentials cannot be read."""
        placed = documents.placed(source.repository) if source.repository else None
        if placed is None or not isinstance(placed.resource.spec, RepositorySpec):
            return Problem(Reason.SOURCE_UNAVAILABLE, f"{source.repository} is not in force")
        spec = placed.resource.spec
        branch = source.branch or spec.branch
        if spec.credentials is None:
            return Remote(spec.url, branch)
        try:
            if spec.credentials.ssh_key is not None:
                key = self.secrets.value(spec.credentials.ssh_key, Place(placed.ref, "sshKey"))
                return Remote(spec.url, branch, Credentials(username=spec.credentials.username or _USER, ssh_key=key))
            if spec.credentials.password is None:
                return Problem(Reason.SOURCE_UNAVAILABLE, f"{placed.ref}: the credentials name no secret")
            password = self.secrets.value(spec.credentials.password, Place(placed.ref, "password")).strip()
            return Remote(spec.url, branch, Credentials(username=spec.credentials.username or _USER, password=password))
        except SecretUnreadable as error:
            return Problem(Reason.SOURCE_UNAVAILABLE, f"{placed.ref}: {error}")
