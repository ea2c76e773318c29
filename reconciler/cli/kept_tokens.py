"""The tokens that `station login` keeps, one for each service, in a file that only its owner can read.

`service_token` asks for one where neither a flag nor the environment has any. A token is kept under the scheme, host
and port of its service, and is never given for another.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from pathlib import Path
from urllib.parse import urlsplit

from reconciler.cli.errors import CliError

_PORTS = {"http": 80, "https": 443}


def kept_token(url: str) -> str | None:
    """Return the token that is kept for a service; None if there is none."""
    return _read().get(_service(url))


def keep_token(url: str, token: str | None) -> Path:
    """Keep a token for a service in place of the one before, None for none; return the file."""
    others = {service: kept for service, kept in _read().items() if service != _service(url)}
    path = _path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(others if token is None else {**others, _service(url): token}, file, indent=2)
    fresh.replace(path)
    return path


def _read() -> dict[str, str]:
    path = _path()
    try:
        with path.open(encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise CliError(f"{path} can be read by others: run chmod 600 on it, or remove it")
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise CliError(f"{path} is not what station login writes: remove it, and log in again")
    return found


def _service(url: str) -> str:
    parts = urlsplit(url)
    port = None
    with contextlib.suppress(ValueError):
        port = parts.port
    return f"{parts.scheme}://{parts.hostname}:{port or _PORTS.get(parts.scheme, '')}"


def _path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    return Path(home) / "stationkeeper" / "tokens.json"
