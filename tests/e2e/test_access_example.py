"""The example that plays what admission holds back comes out as it says, scene by scene."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.forked import Nursery
from tests.needs import needs

PLAY = Path(__file__).parents[2] / "examples" / "access" / "play.py"


@pytest.mark.slow
@pytest.mark.timeout(400)
@needs("git", "ssh-keygen")
def test_every_scene_comes_out_as_it_should(nursery: Nursery):
    path = os.pathsep.join((str(nursery.path()), os.environ["PATH"]))
    done = subprocess.run(
        [sys.executable, PLAY], check=False, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nok ") == 26
    assert "FAIL" not in done.stdout
