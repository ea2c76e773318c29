from pathlib import Path

import pytest

from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.processes.sandbox import SEEN, Sandbox, tool_paths, why_not_writable


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "runs").mkdir()
    made = RunDirectory.of(tmp_path, "r1")
    made.make()
    return made


def mounts(arguments, kind):
    return [arguments[at + 2] for at, word in enumerate(arguments) if word == kind]


def test_what_covers_is_never_put_back(directory, tmp_path):
    hidden = tmp_path / "secrets"
    (hidden / "tools").mkdir(parents=True)
    sandbox = Sandbox("/bwrap", (str(tmp_path), str(hidden)), (str(hidden), str(tmp_path), str(hidden / "tools")))
    shown = mounts(sandbox.prefix(directory, directory.work, ()), "--ro-bind")
    assert str(hidden) not in shown
    assert str(tmp_path) not in shown
    assert str(hidden / "tools") in shown


def test_only_the_runs_own_directories_can_be_written(directory):
    sandbox = Sandbox("/bwrap", (str(directory.root.parent.parent),))
    written = mounts(sandbox.prefix(directory, directory.work, ()), "--bind")
    own = [directory.work, SEEN.work, directory.scratch, SEEN.scratch, directory.home, SEEN.home]
    assert written == ["/tmp", *map(str, own)]


def test_commands_run_in_the_same_place_in_every_run(directory):
    arguments = Sandbox("/bwrap", ()).prefix(directory, directory.work / "live/net", ())
    assert arguments[-3:] == ["--chdir", "/run/station/work/live/net", "--"]


def test_a_binary_brings_its_venv_along(tmp_path):
    base, venv = tmp_path / "base" / "bin", tmp_path / "venv" / "bin"
    base.mkdir(parents=True)
    venv.mkdir(parents=True)
    (base / "python3").touch()
    (venv / "python").symlink_to(base / "python3")
    (venv.parent / "pyvenv.cfg").touch()
    (venv / "tool").touch()
    paths = tool_paths(str(venv / "tool"))
    assert {str(venv.parent), str(base.parent)} <= paths
    assert not tool_paths("sh")
    assert str(Path("/usr/bin")) in tool_paths("/usr/bin/env")


def test_what_runs_share_is_bound_last_but_their_own(directory, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    sandbox = Sandbox("/bwrap", (), (), (str(shared), str(tmp_path / "missing")))
    arguments = sandbox.prefix(directory, directory.work, ())
    assert mounts(arguments, "--bind")[:2] == ["/tmp", str(shared)]
    assert str(tmp_path / "missing") not in arguments
    assert Sandbox.from_data(sandbox.to_data()) == sandbox


@pytest.mark.parametrize(
    ("path", "why"),
    [
        pytest.param("/", None, id="everything that permissions allow; the covers stay"),
        pytest.param("/tmp", "every run has a /tmp of its own", id="tmp"),
        pytest.param("/home", "every run has a /home of its own", id="homes"),
        pytest.param("/srv/data", "runs must not see /srv/data", id="hidden"),
        pytest.param("/srv", "runs must not see /srv/data", id="around hidden"),
        pytest.param("/srv/data/runs", "runs must not see /srv/data", id="below hidden"),
        pytest.param("/srv/database", None, id="beside hidden"),
        pytest.param("/tmp/shared", None, id="below tmp"),
    ],
)
def test_nothing_hidden_becomes_writable(path, why):
    assert why_not_writable(path, ["/srv/data"]) == why
