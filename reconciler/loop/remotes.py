"""Which remotes are followed, and how to sign in to each: from the settings and the Repository documents in force."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.reasons import Reason
from reconciler.core.state import Problem
from reconciler.git.mirrors import Remote
from reconciler.git.remote import Credentials
from reconciler.settings import Settings
from spaces.effective import ResolvedSource
from spaces.model.repository import RepositorySpec
from spaces.model.secrets import SecretRef
from spaces.placed import PlacedDocuments

_LARGEST_SECRET = 64 * 1024
_USER = "git"
"""Whom forges expect where nobody is named."""


class SecretUnreadable(Exception):
    """A secret that the configuration or the settings name cannot be had; the message names it, never its value."""


@dataclass(frozen=True, slots=True)
class Remotes:
    """Finds remotes and reads the secrets for them anew every time, so that a rotated one counts at once."""

    settings: Settings

    def configuration(self) -> Remote:
        """Give the configuration repository; SecretUnreadable where its credentials cannot be read."""
        settings = self.settings
        credentials = None
        if settings.config_ssh_key_file is not None:
            key = _read(settings.config_ssh_key_file, "config_ssh_key_file")
            credentials = Credentials(username=settings.config_username or _USER, ssh_key=key)
        elif settings.config_password_file is not None:
            password = _read(settings.config_password_file, "config_password_file").strip()
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
                key = self._secret(spec.credentials.ssh_key, placed.ref.space)
                return Remote(spec.url, branch, Credentials(username=spec.credentials.username or _USER, ssh_key=key))
            password = self._secret(spec.credentials.password, placed.ref.space).strip()
            return Remote(spec.url, branch, Credentials(username=spec.credentials.username or _USER, password=password))
        except SecretUnreadable as error:
            return Problem(Reason.SOURCE_UNAVAILABLE, f"{placed.ref}: {error}")

    def _secret(self, wanted: SecretRef | None, space: str) -> str:
        if wanted is not None and wanted.file is not None:
            if self.settings.secrets_dir is None:
                raise SecretUnreadable(f"the secret file {wanted.file} needs the setting secrets_dir")
            return _read(self.settings.secrets_dir / space / wanted.file, f"the secret file {space}/{wanted.file}")
        if wanted is not None and wanted.env is not None:
            if wanted.env not in self.settings.env_allowed:
                raise SecretUnreadable(f"the variable {wanted.env} is not in the setting env_allowed")
            value = os.environ.get(wanted.env)
            if value is None:
                raise SecretUnreadable(f"the variable {wanted.env} is not set for the service")
            return value
        raise SecretUnreadable("the credentials name neither a file nor a variable")


def _read(path: Path, name: str) -> str:
    """Read a small secret file that its owner alone can read, never through a link."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if os.fstat(handle).st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise SecretUnreadable(f"{name} can be read by everybody: take that right away (chmod o-rwx)")
            return file.read(_LARGEST_SECRET).decode()
    except OSError as error:
        raise SecretUnreadable(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SecretUnreadable(f"{name} is not UTF-8 text") from None
