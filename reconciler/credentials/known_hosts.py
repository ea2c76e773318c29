"""The keys by which a run knows an SSH host: those that the service itself trusts, of this one host."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from spaces.model.addresses import ssh_place

_HASHED = "|1|"
_PORT = 22


def known_hosts(url: str, file: Path | None = None) -> str:
    """Return the lines of `~/.ssh/known_hosts` (or `file`) about a repository's host, naming no other host.

    None of them where the file says nothing of it: then nothing signs in there, because nobody knows whom to trust.
    """
    host, port, _ = ssh_place(url)
    name = host if port == _PORT else f"[{host}]:{port}"
    try:
        text = (file or Path.home() / ".ssh" / "known_hosts").read_text(encoding="utf-8", errors="replace")
    except (OSError, RuntimeError):
        return ""
    return "".join(f"{line}\n" for line in _about(name, text.splitlines()))


def _about(name: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) >= 3 and _names(words[0], name):
            yield " ".join(filter(None, (marker, name, *words[1:3])))


def _names(written: str, name: str) -> bool:
    if written.startswith(_HASHED):
        salt, _, digest = written.removeprefix(_HASHED).partition("|")
        try:
            made = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1)
            return hmac.compare_digest(made.digest(), base64.b64decode(digest))
        except ValueError:
            return False
    patterns = written.lower().split(",")
    if any(each.startswith("!") and _matches(name, each[1:]) for each in patterns):
        return False
    return any(_matches(name, each) for each in patterns)


def _matches(name: str, pattern: str) -> bool:
    # Only * and ? have a meaning: the brackets around a host with a port are its own.
    return fnmatchcase(name, pattern.replace("[", "[[]"))
