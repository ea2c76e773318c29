"""Process-wide settings of libgit2.

Importing this module applies them, so every user of pygit2 in this package imports it.
"""

from __future__ import annotations

import pygit2
from pygit2 import option
from pygit2.enums import ConfigLevel, Option

CONNECT_TIMEOUT = 20
"""The most seconds that a connection may take to be established."""

SERVER_TIMEOUT = 60
"""The most seconds that one read from or write to a server may take."""

_CACHE_BYTES = 32 * 2**20

LIBRARY_ERRORS = (pygit2.GitError, KeyError, ValueError, OSError)
"""All exceptions that pygit2 raises for an error code of libgit2."""


def prepare() -> None:
    """Isolate libgit2 from the machine's configuration, and limit its waiting and its memory."""
    for level in (ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        option(Option.SET_SEARCH_PATH, level, "")
    option(Option.SET_TEMPLATE_PATH, "")
    # Nothing from a repository is executed here, so the owner of its files does not matter; a mounted repository
    # of another user must stay readable.
    option(Option.SET_OWNER_VALIDATION, False)
    option(Option.ENABLE_STRICT_HASH_VERIFICATION, True)
    option(Option.SET_CACHE_MAX_SIZE, _CACHE_BYTES)
    set_timeouts()
    # Clones made with `--filter`, and worktrees with relative paths, stay readable.
    option(Option.SET_EXTENSIONS, ["partialclone", "relativeworktrees"], 2)


def set_timeouts(connect: float = CONNECT_TIMEOUT, server: float = SERVER_TIMEOUT) -> None:
    """Set the most seconds to wait for a connection, and for each read from or write to a server."""
    option(Option.SET_SERVER_CONNECT_TIMEOUT, int(connect * 1000))
    option(Option.SET_SERVER_TIMEOUT, int(server * 1000))


prepare()
