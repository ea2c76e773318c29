"""The first ten minutes of the README, typed as they stand there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.forked import Nursery
from tests.needs import needs

README = Path(__file__).parents[2] / "README.md"

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.slow,
    needs("git", "terraform"),
]


def _typed():
    """Give the lines of the chapter, without the one that activates a virtual environment."""
    chapter = README.read_text().partition("## The first ten minutes")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", chapter, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if not line.startswith(". .venv")]


def test_the_first_ten_minutes(tmp_path, nursery: Nursery):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n  name = Reader\n  email = reader@example.com\n")
    env = {
        "PATH": f"{nursery.path()}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "STATION_CONFIG_URL": (tmp_path / "config").as_uri(),
    }
    run, printed = "", {}
    for line in _typed():
        if line.startswith("export "):
            assert line == "export STATION_CONFIG_URL=file://$PWD/config"
            continue
        command = re.sub(r"\bRUN\b(?! *:)", run, line.partition(" # ")[0])
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=90, check=False
        )
        printed.setdefault(line.split(" #")[0].strip(), []).append(done.stdout)
        if line.startswith("station runs"):
            run = re.search(r"^[0-9a-z]{26}\b", done.stdout, re.MULTILINE)[0]
        allowed = {2} if line.startswith("station diff") else {0, 3} if line.startswith("station reconcile") else {0}
        assert done.returncode in allowed, (line, done.stdout, done.stderr)
    assert [printed["station stack outputs greeting"][turn].split()[-1] for turn in (0, 1)] == ["world", "everybody"]
    assert "platform/greeting: " in printed["station diff --repository config"][0]
    assert "platform/network" not in printed["station diff --repository config"][0]
    assert "2 of 2 stacks Synced, 1 run" in printed["station reconcile"][-1]
