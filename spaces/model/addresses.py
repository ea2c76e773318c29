"""The places that addresses of Git repositories lead to. Runs read it as they start, so it loads nothing heavy."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit


def ssh_place(url: str) -> tuple[str, int, str]:
    """Return the host, the port and the path of a repository over ssh; hosts are compared in lower case."""
    if "://" in url:
        parts = urlsplit(url)
        return (parts.hostname or "").lower(), parts.port or 22, unquote(parts.path)
    before, _, path = url.partition(":")
    return before.rpartition("@")[2].lower(), 22, path
