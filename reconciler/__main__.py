"""`station`, and `python -m reconciler`."""

from __future__ import annotations

import sys

from reconciler.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
