"""Where mounted files go: below the directory that the tool runs in, or below the run's home.

The run's own process imports this module, so it stays on the standard library.
"""

from __future__ import annotations

HOME = "~/"
"""How the path of a file in the run's home begins."""


def in_home(path: str) -> bool:
    """Whether a file is put below the run's home."""
    return path.startswith(HOME)
