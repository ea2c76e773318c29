"""Look for random cases that break a property. `make explore` runs this; it never runs in `make test`.

It runs every property test with a fresh seed, again and again, until the time is up or one fails.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import time
from pathlib import Path

from tests.properties import EXPLORE

TESTS = Path(__file__).parent
FOUND = """
Found one. Hypothesis has already made the case small; above, it shows the case as a call of the test with arguments.
 1. Write these arguments above the test as an example: @example(first=..., second=...)
    From then on `make test` runs it every time, and fails until the code is right.
 2. Mend the code. Keep the example.
To see it again before that: {again}"""


def main(arguments: list[str] | None = None) -> int:
    """Explore for some minutes; return 1 if a property fails."""
    parser = argparse.ArgumentParser(prog="make explore", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("tests", nargs="*", help="files or directories of tests; all of them by default")
    given = parser.parse_args(arguments)
    paths = given.tests or [str(path) for path in sorted(TESTS.rglob("test_*.py")) if "hypothesis" in path.read_text()]
    end, rounds = time.monotonic() + 60 * given.minutes, 0
    while rounds == 0 or time.monotonic() < end:
        seed = secrets.randbelow(2**32)
        command = ["-m", "pytest", "-q", "-m", "hypothesis", f"--hypothesis-profile={EXPLORE}"]
        command += [f"--hypothesis-seed={seed}", "--timeout=600", *paths]
        if subprocess.run([sys.executable, *command, "-n", "2"], check=False).returncode != 0:
            print(FOUND.format(again=f"{sys.executable} {' '.join(command[: -len(paths)])} FILE"))  # noqa: T201
            return 1
        rounds += 1
    print(f"Nothing found. Every property was tried {rounds} times, each time with new cases.")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
