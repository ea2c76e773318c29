"""`station`, and `python -m reconciler`."""

from __future__ import annotations

import os
import sys

from reconciler.cli import garbage


def main() -> int:
    """Run one command and return its exit code."""
    garbage.seldom()
    # Plugins of other installed packages must not change what documents mean; searching for them takes time, too.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from reconciler.cli.main import main as run  # noqa: PLC0415 - imported only after the two lines above

    code = run()
    garbage.never_again()
    return code


if __name__ == "__main__":
    sys.exit(main())
