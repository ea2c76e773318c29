"""Which addresses the settings take, and how one on this machine is written.

The checks raise ValueError with a text for whoever wrote the address.
"""

from __future__ import annotations

import re

_ISSUER = re.compile(r"(?P<scheme>[a-z]+)://(?P<host>[^/?#]*)(?P<path>/[A-Za-z0-9._~/-]*)?", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z][-a-z0-9]{0,61}[a-z0-9]")
_LOCAL = ("localhost", "local", "internal", "test", "invalid", "example", "lan", "home.arpa")


def http_url(host: str, port: int) -> str:
    """Return the URL of a server on this machine."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_public_url(value: str) -> None:
    """Raise ValueError for what is no http or https address of a page."""
    if not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+(/[\w.~/-]*)?", value, re.ASCII):
        raise ValueError("write an address such as https://station.example.com")


def check_secure_url(value: str) -> None:
    """Raise ValueError for what is no https address, nor http on this machine."""
    if not re.fullmatch(
        r"(https://[A-Za-z0-9.-]+|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?(/[\w.~/-]*)?", value, re.ASCII
    ):
        raise ValueError("not https")


def public_issuer(text: str) -> str:
    """Return the URL of the issuer without a slash at its end; ValueError for one that clouds would not take."""
    found = _ISSUER.fullmatch(text)
    if found is None:
        raise ValueError("is not a plain URL: write one such as https://station.example.com")
    if found["scheme"] != "https":
        raise ValueError("must begin with https://: clouds fetch the keys over nothing else")
    host = found["host"]
    if "@" in host:
        raise ValueError("must not contain a user name")
    if ":" in host:
        raise ValueError("must not have a port: AWS takes none")
    if not _HOST.fullmatch(host):
        raise ValueError("needs a public host name in lower case: clouds must reach it")
    if any(host.endswith(f".{each}") for each in _LOCAL):
        raise ValueError(f"{host} is not a public name: clouds must reach it")
    path = (found["path"] or "").rstrip("/")
    if "//" in path or any(part in {".", ".."} for part in path.split("/")):
        raise ValueError("has a path with empty or dotted parts")
    return f"https://{host}{path}"
