"""One fetch from one remote into one bare repository: authentication, trust, deadline, and errors in plain words.

The mirror calls `fetch` with the refspecs of the wanted branches. It returns the names of the remote's refs, and raises
only GitError. It sends credentials to the URL's own host alone, once, and no message contains them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn

import pygit2
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from pygit2.callbacks import RemoteCallbacks
from pygit2.enums import CredentialType, FetchPrune
from pygit2.remotes import TransferProgress

from reconciler.git.errors import GitError, GitReason, is_disk_full, one_line
from reconciler.git.libgit2 import LIBRARY_ERRORS
from reconciler.git.remote import Credentials, host_of, redact, user_of

_REFUSED = re.compile(r"\b(401|403)\b|authenticat|authoriz|credential|permission denied|access denied", re.IGNORECASE)


def fetch(
    repository: pygit2.Repository,
    url: str,
    refspecs: Collection[str] | Callable[[list[str]], Collection[str]],
    credentials: Credentials | None,
    deadline: float,
) -> list[str]:
    """Fetch exactly `refspecs` within `deadline` seconds; return the names of all refs of the remote.

    A function gets those names first, and says what is fetched in the same connection. No other tags come along,
    nothing is pruned, no configuration is consulted. Raise GitError.
    """
    callbacks = Callbacks(url, credentials, time.monotonic() + deadline)
    try:
        remote = repository.remotes.create_anonymous(url)
        if callable(refspecs):
            remote.connect(callbacks=callbacks, proxy=True)
            refspecs = refspecs(_names(remote))
            if not refspecs:
                return _names(remote)
        remote.fetch(list(refspecs), callbacks=callbacks, prune=FetchPrune.NO_PRUNE, proxy=True)
        return _names(remote)
    except GitError:
        raise
    except LIBRARY_ERRORS as error:
        raise explain(error, url, credentials) from None


def _names(remote: pygit2.Remote) -> list[str]:
    return [head.name for head in remote.list_heads(connect=False) if head.name]


def explain(
    error: BaseException, url: str, credentials: Credentials | None, otherwise: GitReason = GitReason.FETCH_FAILED
) -> GitError:
    """Return a failure of libgit2 in plain words, without credentials."""
    doing = "fetching" if otherwise is GitReason.FETCH_FAILED else "pushing to"
    text = str(error)
    for secret in credentials.secrets if credentials else ():
        text = text.replace(secret, "***")
    text = one_line(text.replace(url, redact(url)))
    if is_disk_full(error):
        return GitError(GitReason.DISK_FULL, f"the disk is full while {doing} {redact(url)}")
    if text.startswith("failed to parse"):
        text = f"it has a commit or tag that Git cannot read ({text}); git fsck names it: take it off the branch"
    reason = GitReason.AUTHENTICATION_FAILED if _REFUSED.search(text) else otherwise
    return GitError(reason, f"{doing} {redact(url)} failed: {text}")


class Callbacks(RemoteCallbacks):
    """Answers libgit2's questions during one fetch or push. An exception that it raises ends the fetch."""

    def __init__(self, url: str, credentials: Credentials | None, until: float) -> None:
        super().__init__()
        self._url = url
        self._given = credentials
        self._until = until
        self._asked = 0

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.Username | pygit2.UserPass | pygit2.Keypair:
        """Return the credentials once: a remote that asks again has not accepted them."""
        if host_of(url) != host_of(self._url):
            self._fail("redirects to another host and asks there for credentials, which are not sent")
        user = (self._given.username if self._given else "") or username_from_url or user_of(self._url) or "git"
        if allowed_types & CredentialType.USERNAME and not allowed_types & CredentialType.SSH_KEY:
            return pygit2.Username(user)
        self._asked += 1
        if self._asked > 1:
            self._fail("does not accept the credentials" if self._given else "accepts no key of the SSH agent, if any")
        if allowed_types & CredentialType.SSH_KEY:
            if self._given is None:
                return pygit2.KeypairFromAgent(user)
            if not self._given.ssh_key:
                self._fail("asks for an SSH key, and the credentials hold a password")
            why = unusable_key(self._given.ssh_key, self._given.ssh_passphrase)
            if why:
                self._fail(f"asks for an SSH key, and {why}")
            return pygit2.KeypairFromMemory(user, "", self._given.ssh_key, self._given.ssh_passphrase)
        if self._given is None:
            self._fail("requires credentials, but there are none")
        if not self._given.password:
            self._fail("asks for a user name and password, and the credentials hold an SSH key")
        return pygit2.UserPass(user, self._given.password)

    def _fail(self, why: str) -> NoReturn:
        raise GitError(GitReason.AUTHENTICATION_FAILED, f"{redact(self._url)} {why}")

    def certificate_check(self, certificate: None, valid: bool, host: bytes | str) -> bool:  # noqa: ARG002, FBT001
        """Refuse an untrusted SSH host key or TLS certificate with a message for people."""
        if valid:
            return True
        name = one_line(host.decode("utf-8", "replace") if isinstance(host, bytes) else host)
        if self._url.lower().startswith("https://"):
            raise GitError(GitReason.HOST_NOT_TRUSTED, f"the TLS certificate of {name} is not trusted")
        message = f"the SSH host key of {name} is unknown or has changed: check it, then add it to known_hosts"
        raise GitError(GitReason.HOST_NOT_TRUSTED, message)

    def transfer_progress(self, stats: TransferProgress) -> None:  # noqa: ARG002
        """Stop a transfer that takes too long in all, even while data arrives."""
        if time.monotonic() > self._until:
            raise GitError(GitReason.FETCH_FAILED, f"fetching {redact(self._url)} took longer than its deadline")


def init_bare(directory: Path) -> None:
    """Create an empty bare repository."""
    pygit2.init_repository(str(directory), bare=True)


def unusable_key(text: str, passphrase: str = "") -> str | None:
    """Return in a few words why a private key cannot be used; None if it can. The words contain no part of the key.

    Only keys that pass go to libssh2, whose C code must never see anything else.
    """
    load = load_ssh_private_key if "OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        key = load(text.encode(), passphrase.encode() or None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "the key given is not a private key that can be read with its passphrase"
    if isinstance(key, RSAPrivateKey):
        # The libssh2 inside pygit2's wheels corrupts the heap when it signs with one, which ends the whole service.
        return "the key given is an RSA key, which is not supported: use an Ed25519 or ECDSA key"
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        return "the key given is neither an Ed25519 nor an ECDSA key"
    return None
