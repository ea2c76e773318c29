"""`station serve` as a process of its own, for benchmarks that ask it over HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.harness import environment

_READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A service that has reconciled once. `pid` is its process, `url` its address, `token` its operator's."""

    pid: int
    url: str
    token: str


@contextmanager
def served(url: str, data_dir: Path, scratch: Path) -> Iterator[Served]:
    """Serve a configuration repository on a data directory; the service's own log goes into `scratch`."""
    command = [sys.executable, "-m", "reconciler", "serve", "--config-url", url, "--data-dir", str(data_dir)]
    log = scratch / "serve.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"], env=environment(), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        address = _address(process, log)
        _until_ready(process, address)
        yield Served(process.pid, address, (data_dir / "token").read_text(encoding="ascii").strip())
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < end:
        found = re.search(r"listening on (\S+);", log.read_text(encoding="utf-8"))
        if found:
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"station serve did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


def _until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    end = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(address + "/readyz", timeout=_READY_SECONDS).read()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("station serve did not get ready")
