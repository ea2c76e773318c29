"""Which engine reads the rules of policies: what another one said of them is not remembered."""

from __future__ import annotations

from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files

_LIBRARY = "gordon-to-regorus"
_MODULES = ("checking.py", "child.py")


def engine() -> bytes:
    """Name whatever decides what is wrong with a rule."""
    said = blake2b(version(_LIBRARY).encode(), digest_size=16)
    for module in _MODULES:
        said.update((files("reconciler.policies") / module).read_bytes())
    return said.digest()
