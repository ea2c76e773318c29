"""Files that the program sops has encrypted: which keys they have, and to which age keys they are encrypted.

Keys stand in such files in clear. So a document that names one that is not there is refused without opening anything.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, NamedTuple

from spaces.model.explain import did_you_mean, shown
from spaces.reading.documents import read_text

YAML, JSON, DOTENV, BINARY = "yaml", "json", "dotenv", "binary"
_FORMATS = {"yaml": YAML, "yml": YAML, "json": JSON, "env": DOTENV}
_STANZA = re.compile(r"sops_age__list_\d+__map_enc")
_MOST_STANZAS = 100


class SopsFile(NamedTuple):
    """An encrypted file. `tree` has its keys; `stanzas` are the file's own key, encrypted to one age key each."""

    format: str
    tree: Any
    stanzas: tuple[str, ...]


class NoValue(Exception):
    """A file has no such value. The message says so, and follows the name of the file."""


def format_of(path: str) -> str:
    """Return how sops reads a file of that name."""
    return _FORMATS.get(path.rpartition(".")[2].lower(), BINARY)


def read_sops(path: str, data: bytes) -> SopsFile | None:
    """Return an encrypted file; None for one that sops did not encrypt, or not to any age key."""
    return _read(format_of(path), data)


def sops_flaw(path: str, data: bytes, keys: str) -> str | None:
    """Return why a file has no value at `keys`, in words that follow its name; None if it has one."""
    found = read_sops(path, data)
    if found is None:
        return "is not encrypted by sops to an age key"
    if not keys:
        return None
    if found.format == BINARY:
        return "has no keys: leave out # and what follows"
    try:
        return None if single(at(found.tree, keys)) else f"has more than one value at {shown(keys)}"
    except NoValue as missing:
        return str(missing)


def at(tree: Any, keys: str) -> Any:
    """Return what lies at keys that are joined by /; NoValue names the first that is not there."""
    for key in keys.split("/"):
        known = list(tree) if isinstance(tree, dict) else []
        if isinstance(tree, list) and key.isdecimal() and int(key) < len(tree):
            tree = tree[int(key)]
        elif key in known:
            tree = tree[key]
        else:
            near = did_you_mean(key, [each for each in known if isinstance(each, str)])
            raise NoValue(f"has no key {shown(key)}" + (f": {near}" if near else ""))
    return tree


def single(value: Any) -> bool:
    """Whether this is one value, and neither none nor several."""
    return isinstance(value, str | int | float)


@lru_cache(maxsize=64)
def _read(form: str, data: bytes) -> SopsFile | None:
    try:
        tree = _tree(form, data.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(tree, dict):
        return None
    if form == DOTENV:
        own = {name: value for name, value in tree.items() if not name.startswith("sops_")}
        stanzas = [value.replace("\\n", "\n") for name, value in tree.items() if _STANZA.fullmatch(name)]
    else:
        own = {name: value for name, value in tree.items() if name != "sops"}
        stanzas = list(_stanzas(tree.get("sops")))
    return SopsFile(form, own, tuple(stanzas)) if 0 < len(stanzas) <= _MOST_STANZAS else None


def _tree(form: str, text: str) -> Any:
    if form == DOTENV:
        lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
        return {name: value for name, _, value in lines}
    if form == YAML:
        documents = read_text(text)
        return documents[0] if documents is not None and len(documents) == 1 else None
    return json.loads(text)


def _stanzas(metadata: Any) -> list[str]:
    # Key groups need several keys at once, and who holds the others is no age key of this installation.
    listed = metadata.get("age") if isinstance(metadata, dict) and not metadata.get("key_groups") else None
    found = [each.get("enc") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [each for each in found if isinstance(each, str)]
