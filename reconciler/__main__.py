"""`station`, and `python -m reconciler`."""

from __future__ import annotations

import os
import sys

from reconciler.cli import garbage


def main() -> int:
    """Run one command and give its exit code."""
    garbage.seldom()
    # Whatever else is installed must not get between documents and what is made of them, nor be searched for.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from reconciler.cli.main import main as run  # noqa: PLC0415 - only now, for both of these

    code = run()
    garbage.never_again()
    return code


if __name__ == "__main__":
    sys.exit(main())
