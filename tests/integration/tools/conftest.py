from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


def _support() -> ModuleType:
    # Test directories are no packages, so a helper beside them is loaded by its path.
    name = "tools_support"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("support.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


class Place:
    """The directories of one run, and a `do` that runs in them."""

    def __init__(self, top: Path) -> None:
        self.top, self.work, self.scratch, self.home = top, top / "work", top / "scratch", top / "home"
        for directory in (self.work, self.scratch, self.home):
            directory.mkdir()
        files = {"STATION_OUTPUTS": "outputs.json", "STATION_PLAN": "station-plan.json"}
        told = {name: str(self.scratch / file) for name, file in files.items()}
        self.do = _support().RecordingDo(self.work, self.home, told)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="session")
def support() -> ModuleType:
    return _support()


@pytest.fixture
def tfstate_server() -> Iterator[object]:
    server = _support().TfstateServer()
    yield server
    server.close()


@pytest.fixture
def second_tfstate_server() -> Iterator[object]:
    server = _support().TfstateServer(password="another-password")
    yield server
    server.close()
