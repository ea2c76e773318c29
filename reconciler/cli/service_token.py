"""The token that a command sends to a service, and proof that the local service is the one that should get it.

`client` asks `find_token` once per command. The operator's token in the data directory is sent only to the process
that holds the data directory's lock and listens on the port of the URL: while the service is down, any other process of
this machine, even a run's, could listen in its place. Nothing here sends or stores a token.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.cli.errors import CliError
from reconciler.cli.kept_tokens import kept_token
from reconciler.cli.options import Common

_PROC = Path("/proc")
_LISTENS = "0A"


def find_token(common: Common, url: str) -> str | None:
    """Return the token for the service at `url`: a flag's, the environment's, a login's, or the operator's, or None."""
    token = _configured_token(common, url)
    return None if token is None else check_token(token)


def check_token(token: str) -> str:
    """Return the token; raise CliError if it cannot be one."""
    if not token or not (token.isascii() and token.isprintable() and " " not in token):
        # The message never contains the token: it may be a valid one with something behind it.
        raise CliError("this is not a Stationkeeper token: check STATION_TOKEN or --token-file")
    return token


def is_served(data_dir: Path) -> bool:
    """Whether a service is running on a data directory."""
    return any(_lock_holders(data_dir / "lock"))


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    import ipaddress

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _configured_token(common: Common, url: str) -> str | None:
    if common.token_file is not None:
        return common.token_file.read_text(encoding="utf-8", errors="replace").strip()
    if token := os.environ.get("STATION_TOKEN", "").strip():
        return token
    if kept := kept_token(url):
        return kept
    if is_loopback(urlsplit(url).hostname or ""):
        data_dir = common.settings().data_dir
        with contextlib.suppress(OSError):
            token = (data_dir / "token").read_text(encoding="utf-8").strip()
            return token if _is_service_of(data_dir, url) else None
    return None


def _is_service_of(data_dir: Path, url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return any(_listens_alone(pid, port) for pid in _lock_holders(data_dir / "lock"))


def _lock_holders(lock: Path) -> Iterator[int]:
    """Yield the processes that hold a lock, without taking it: a service may be about to start."""
    with contextlib.suppress(OSError, ValueError):
        status = lock.stat()
        for line in (_PROC / "locks").read_text(encoding="ascii").splitlines():
            words = line.split()
            # The inode alone proves little: other file systems have files with the same number.
            if words[1] == "FLOCK" and words[5].endswith(f":{status.st_ino}") and _has_open(int(words[4]), status):
                yield int(words[4])


def _listens_alone(pid: int, port: int) -> bool:
    """Whether a process listens on a port of this machine, and no other process does, on any address."""
    sockets = {link.removeprefix("socket:[").rstrip("]") for link in _links(pid) if link.startswith("socket:[")}
    listening = set(_listening(port))
    return bool(listening) and listening <= sockets


def _has_open(pid: int, file: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(descriptor.stat(), file):
                    return True
    return False


def _links(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(descriptor.readlink())


def _listening(port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on a port."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / name).read_text(encoding="ascii").splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENS and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9]
