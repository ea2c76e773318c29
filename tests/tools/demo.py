"""`make demo`: the demo, with a Kubernetes API where the programs of one are here, and what the tests need of Python."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path


def main() -> int:
    """Play the demo, and return its exit code."""
    command = [str(Path(sys.executable).with_name("station")), "demo", *sys.argv[1:]]
    with ExitStack() as stack:
        if find_spec("httpx") is not None:
            from tests.tools.cluster import missing, running_api

            if not missing():
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="station-demo-cluster-")))
                command += ["--kubeconfig", str(stack.enter_context(running_api(folder)).kubeconfig)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
