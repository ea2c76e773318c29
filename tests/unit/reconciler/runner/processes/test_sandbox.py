"""What a run's commands can see and write, and the environment that they get."""

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Job, Limits
from reconciler.runner.processes.sandbox import (
    SEEN,
    Sandbox,
    inherited,
    tool_environment,
    tool_paths,
    why_not_writable,
)

JOB = Job(
    run="r", attempt=1, stack="root/a", leg=Leg.PLAN, tool="script", binary="", path=".", options={}, facts={}, env={},
    hooks={}, limits=Limits({Phase.PLAN: 1}), carry_key="1b" * 32,
)  # fmt: skip


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
    own, seen = [[str(it.work), str(it.scratch), str(it.home)] for it in (directory, SEEN)]
    arguments = Sandbox("/bwrap", (str(directory.root.parent.parent),)).prefix(directory, directory.work, ())
    assert mounts(arguments, "--bind") == ["/tmp", *seen]
    assert mounts(arguments, "--symlink") == own
    uncovered = mounts(Sandbox("/bwrap", ()).prefix(directory, directory.work, ()), "--bind")
    assert sorted(uncovered) == sorted(["/tmp", *seen, *own])


def test_a_binary_in_the_work_directory_is_not_put_back_apart_from_it(directory):
    binary = directory.work / "bin/tool"
    binary.parent.mkdir()
    binary.touch()
    sandbox = Sandbox("/bwrap", (str(directory.root.parent.parent),))
    arguments = sandbox.prefix(directory, directory.work, (str(binary),))
    assert str(binary.parent) not in arguments


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


def test_what_the_loader_reads_is_set_inside_of_the_sandbox_only(tmp_path):
    prefix = Sandbox("bwrap", ()).prefix(RunDirectory(tmp_path), tmp_path / "work", (), {"LD_PRELOAD": "/x.so"})
    at = prefix.index("--setenv")
    assert prefix[at : at + 3] == ["--setenv", "LD_PRELOAD", "/x.so"]
    assert prefix[-1] == "--"


def test_only_what_is_named_is_inherited():
    service = {
        "PATH": "/bin",
        "LANG": "C",
        "https_proxy": "p",
        "NO_PROXY": "n",
        "STATION_TOKEN": "t",
        "AWS_PROFILE": "x",
    }
    assert inherited(service) == {"PATH": "/bin", "LANG": "C", "https_proxy": "p", "NO_PROXY": "n"}


def test_the_job_may_set_anything_but_where_the_run_lives(tmp_path):
    env = {"PATH": "/mine", "HOME": "/root", "TMPDIR": "/x", "STATION_RUN": "y", "STATION_PERSON": "z", "A": "b"}
    job = replace(JOB, env=env, about={"STATION_PERSON": "user:ada"})
    env = tool_environment(job, RunDirectory(tmp_path), {"PATH": "/bin", "SECRET": "s"}, "/tmp")
    assert env == {
        "PATH": "/mine",
        "A": "b",
        "HOME": f"{tmp_path}/home",
        "TMPDIR": "/tmp",
        "STATION_PERSON": "user:ada",
        "STATION_STACK": "root/a",
        "STATION_RUN": "r",
        "STATION_OUTPUTS": f"{tmp_path}/scratch/outputs.json",
        "STATION_MASK": f"{tmp_path}/scratch/station-mask",
        "STATION_FACTS": f"{tmp_path}/scratch/station-facts",
        "STATION_PLAN": f"{tmp_path}/scratch/station-plan.json",
    }
