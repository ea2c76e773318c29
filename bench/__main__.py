"""`python -m bench [names…]`: run the benchmarks, print a line for each figure, and exit with code 0.

A missed limit prints OVER, and again at the end. It does not fail the command, because another program on the machine
may be the cause; with `--strict` the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pkgutil
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import bench
from bench.harness import HEADER, Figure


def main() -> int:
    """Run the named benchmarks, or all of them."""
    known = _benchmarks()
    parser = argparse.ArgumentParser("python -m bench", description=bench.__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(known)}; left out: all")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a limit is missed")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name.replace("-", "_") not in known]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}: {', '.join(known)}")
    logging.disable(logging.WARNING)
    started = time.monotonic()
    wanted = [name.replace("-", "_") for name in arguments.names] or list(known)
    load, processors = os.getloadavg()[0], os.cpu_count()
    print(
        f"load average before the start: {load:.1f} on {processors} processors (limits without a peer suffer from it)"
    )
    print(HEADER)
    figures: list[Figure] = []
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix=f"station-bench-{name}-") as scratch:
            for figure in known[name].measure(Path(scratch)):
                print(figure.line(), flush=True)
                figures.append(figure)
    over = [figure for figure in figures if figure.over]
    print(f"\n{len(figures)} figures in {time.monotonic() - started:.0f} s", end="")
    print(f"; OVER the limit: {'; '.join(figure.name.strip() for figure in over)}" if over else ", none over its limit")
    return 1 if over and arguments.strict else 0


def _benchmarks() -> dict[str, ModuleType]:
    """Return the modules that are benchmarks."""
    names = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if module.name != "__main__")
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "measure")}


if __name__ == "__main__":
    sys.exit(main())
