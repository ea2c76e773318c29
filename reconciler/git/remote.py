"""The addresses, branches and credentials of remotes: which are allowed, and how people see them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

SCHEMES = ("https", "http", "ssh", "file")
_SCP_LIKE = re.compile(
    r"(?:(?P<user>[A-Za-z0-9._][A-Za-z0-9._-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*):(?P<path>[^:-].*)"
)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_LONGEST_URL = 2000
_LONGEST_BRANCH = 200
_NOT_IN_A_REF = set(" ~^:?*[\\")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Either a user name with a password or token (http, https), or the text of a private key (ssh)."""

    username: str = ""
    password: str = ""
    ssh_key: str = ""
    ssh_passphrase: str = ""

    def __post_init__(self) -> None:
        if bool(self.password) == bool(self.ssh_key):
            raise ValueError("credentials are either a password or token, or an SSH key")

    def __repr__(self) -> str:
        """Return only the kind of credentials."""
        return f"Credentials(<{'ssh key' if self.ssh_key else 'password'}>)"

    @property
    def secrets(self) -> tuple[str, ...]:
        """All texts that no message may contain."""
        return tuple(text for text in (self.password, self.ssh_key, self.ssh_passphrase) if text)


def check_url(url: str, *, local: bool = True) -> None:
    """Raise ValueError with one sentence unless `url` may be fetched from; `local=False` also refuses file:// URLs."""
    if not url:
        raise ValueError("the repository URL is empty")
    if len(url) > _LONGEST_URL:
        raise ValueError(f"the repository URL is longer than {_LONGEST_URL} characters")
    if not url.isprintable():
        raise ValueError("the repository URL contains a control character")
    if url.startswith("-"):
        raise ValueError("the repository URL starts with '-', which would read as an option")
    if "://" not in url:
        _check_scp_like(url)
        return
    parts = _split(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"the repository URL's scheme {parts.scheme!r} is not one of {', '.join(SCHEMES)}")
    if parts.scheme == "file":
        _check_file(parts, local=local)
    else:
        _check_server(url, parts)


def _check_file(parts: SplitResult, *, local: bool) -> None:
    if not local:
        raise ValueError("a file:// repository URL is not allowed here")
    if parts.netloc not in ("", "localhost") or len(parts.path) < 2:
        raise ValueError("a file:// repository URL needs an absolute path: file:///path/to/repository")


def check_local(url: str, allowed: Collection[Path]) -> None:
    """Raise ValueError for a repository of this machine outside of the `allowed` directories, links followed."""
    if not url.lower().startswith("file:"):
        return
    path = os.path.realpath(os.fsdecode(unquote_to_bytes(_split(url).path)))
    if not any(Path(path).is_relative_to(os.path.realpath(each)) for each in allowed):
        raise ValueError(
            "repositories of the service's own machine (file://) may only lie below the directories of the setting "
            "file_repositories"
        )


def _check_server(url: str, parts: SplitResult) -> None:
    if parts.password is not None:
        raise ValueError("the repository URL contains a password: put it into the credentials")
    if not _HOST.fullmatch(parts.hostname or ""):
        raise ValueError("the repository URL has no valid host name")
    if (parts.username or "").startswith("-") or parts.path.startswith("/-"):
        raise ValueError("the repository URL's user name or path starts with '-', which would read as an option")
    if not parts.path.strip("/"):
        raise ValueError("the repository URL names no repository after the host")
    if "?" in url or "#" in url:
        raise ValueError("the repository URL has a query or fragment, which Git does not use")


def _check_scp_like(url: str) -> None:
    if "::" in url:
        raise ValueError(f"the repository URL names a remote helper; its scheme must be one of {', '.join(SCHEMES)}")
    if url.startswith(("/", ".", "~")):
        raise ValueError("the repository URL is a path: write it as file:///path/to/repository")
    if not _SCP_LIKE.fullmatch(url):
        raise ValueError("the repository URL is neither scheme://host/path nor user@host:path")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the repository URL's host or port is not valid") from None
    return parts


def check_branch(branch: str, what: str = "branch") -> None:
    """Raise ValueError with one sentence unless `branch` is a branch (or tag) name by Git's own rules."""
    if not branch:
        raise ValueError(f"the {what} name is empty")
    if len(branch.encode("utf-8", "surrogateescape")) > _LONGEST_BRANCH:
        raise ValueError(f"the {what} name is longer than {_LONGEST_BRANCH} bytes")
    if branch.startswith("-"):
        raise ValueError(f"the {what} name starts with '-', which would read as an option")
    if branch.startswith("refs/"):
        raise ValueError(f"the {what} name starts with refs/: name the {what} alone, as in main")
    if not branch.isprintable() or _NOT_IN_A_REF & set(branch):
        raise ValueError(f"the {what} name holds a character that Git does not allow in one")
    if branch in ("@", "HEAD") or "@{" in branch or ".." in branch:
        raise ValueError(f"{branch!r} is not a {what} name that Git allows")
    if any(not part or part.startswith(".") or part.endswith((".lock", ".")) for part in branch.split("/")):
        raise ValueError(f"{branch!r} is not a {what} name that Git allows")


def local_path(url: str) -> Path | None:
    """Return the path of a checked file:// URL, read as libgit2 reads it; None for all other URLs."""
    for start in ("file://localhost/", "file:///"):
        if url.startswith(start):
            return Path(os.fsdecode(unquote_to_bytes(url[len(start) - 1 :])))
    return None


def redact(url: str, *, keep_ssh_user: bool = False) -> str:
    """Return the URL without user, password, query and fragment, and with control characters replaced.

    With `keep_ssh_user` the user of an ssh:// URL stays: it is no secret, and a fetch needs it.
    """
    shown = "".join(c if c.isprintable() else "?" for c in url)
    # A password may hold what ends a host elsewhere: databases are found by such a URL all the same.
    shown = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://[^/?#@:]*):(?!\d*(?:[/?#]|$))[^@]*@", r"\1@", shown)
    shown = re.split(r"[?#]", shown, maxsplit=1)[0]
    if keep_ssh_user and shown.startswith("ssh://"):
        return re.sub(r"^(ssh://[^/@:]*):[^/@]*@", r"\1@", shown)
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/]*@", r"\1", shown)


def host_of(url: str) -> str:
    """Return the host of a checked URL, with the port if it has one; empty for a file:// URL."""
    if "://" not in url:
        match = _SCP_LIKE.fullmatch(url)
        return match["host"].lower() if match else ""
    parts = _split(url)
    return f"{(parts.hostname or '').lower()}{f':{parts.port}' if parts.port else ''}"


def user_of(url: str) -> str:
    """Return the user name in a checked URL; empty if it has none."""
    if "://" not in url:
        match = _SCP_LIKE.fullmatch(url)
        return (match["user"] or "") if match else ""
    return _split(url).username or ""
