"""What `station` sees to before it imports anything, and at its end."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

from reconciler.cli import garbage

_RUN = "import sys; from reconciler.__main__ import main; sys.argv = ['station', 'validate', '.']; code = main();"


def run(directory: Path, then: str, **environment: str) -> str:
    command = [sys.executable, "-c", f"{_RUN} assert code == 0; {then}"]
    env = {**os.environ, **environment}
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=directory, env=env).stdout


def test_nobody_elses_code_gets_between_documents_and_what_is_made_of_them(tmp_path: Path) -> None:
    information = tmp_path / "other-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[pydantic]\nother = other_plugin:plugin\n")
    (tmp_path / "other_plugin.py").write_text("plugin = None\n")
    directory = tmp_path / "configuration"
    directory.mkdir()
    there = "print('other_plugin' in sys.modules, 'pydantic.main' in sys.modules)"
    assert run(directory, there, PYTHONPATH=str(tmp_path)) == "False True\n"


def test_what_there_is_at_the_end_is_not_looked_through_once_more(tmp_path: Path) -> None:
    assert int(run(tmp_path, "import gc; print(gc.get_freeze_count())")) > 10_000


def test_what_runs_on_looks_for_garbage_as_often_as_ever() -> None:
    before = gc.get_threshold()
    try:
        garbage.as_usual()
        usual = gc.get_threshold()
        garbage.seldom()
        assert gc.get_threshold()[0] > usual[0]
        garbage.as_usual()
        assert gc.get_threshold() == usual
    finally:
        gc.set_threshold(*before)
