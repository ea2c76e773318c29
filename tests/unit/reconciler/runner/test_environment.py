from dataclasses import replace

from reconciler.core.phases import Leg, Phase
from reconciler.runner.contract.directory import RunDirectory
from reconciler.runner.contract.job import Job, Limits
from reconciler.runner.processes.sandbox import inherited, tool_environment

JOB = Job("r", 1, "root/a", Leg.PLAN, "script", "", ".", {}, {}, {}, {}, Limits({Phase.PLAN: 1}))


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
    job = replace(JOB, env={"PATH": "/mine", "HOME": "/root", "TMPDIR": "/x", "STATION_RUN": "y", "A": "b"})
    env = tool_environment(job, RunDirectory(tmp_path), {"PATH": "/bin", "SECRET": "s"}, "/tmp")
    assert env == {
        "PATH": "/mine",
        "A": "b",
        "HOME": f"{tmp_path}/home",
        "TMPDIR": "/tmp",
        "STATION_STACK": "root/a",
        "STATION_RUN": "r",
        "STATION_OUTPUTS": f"{tmp_path}/scratch/outputs.json",
    }
