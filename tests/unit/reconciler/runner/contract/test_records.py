import json
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.phases import Leg, Phase
from reconciler.core.results import Action, Applied, MadeBy, Output, OutputChange, Planned, Resource, ResourceChange
from reconciler.runner.contract.job import (
    ORDER_FIELDS,
    Ending,
    GitAccess,
    Hook,
    Identity,
    Job,
    LegReport,
    Limits,
    TfstateAccess,
)
from reconciler.runner.contract.records import (
    job_from_data,
    job_to_data,
    order_from_data,
    order_to_data,
    report_from_data,
    report_to_data,
    to_line,
)

CHANGE = ResourceChange("a.b", "a", "p", Action.REPLACE, {"x": 1}, {"x": [None, True]})
JOB = Job(
    run="r1",
    attempt=2,
    stack="root/a",
    leg=Leg.APPLY,
    tool="script",
    binary="/bin/x",
    path="a/b",
    options={"apply": "true"},
    facts={"backend": "managed"},
    env={"A": "ü\udc80"},
    hooks={"before.init": (Hook("true", "Context root/x"),)},
    limits=Limits({Phase.PLAN: 1.5}, silence_seconds=3),
    carry_key="1b" * 32,
    waits_for_verdict=True,
    plan_digest="ab",
    tfstate=TfstateAccess("/data", "/x", "s3cret"),
    masked=("hunter2", "two"),
    tool_version="1.9.8",
    git=(GitAccess("https://git.example.com/a", "bot", password="hunter2"),),
    identity=Identity({"aws.token": "s3cret"}, {"AWS_WEB_IDENTITY_TOKEN_FILE": "aws.token"}, {"AWS_ROLE_ARN": "arn"}),
)


@pytest.mark.parametrize(
    "job",
    [replace(JOB, made_by=MadeBy("/bin/x", "1.9.8"), tool_range=">=1"), replace(JOB, tfstate=None, identity=None)],
)
def test_a_job_survives_the_pipe_and_the_order_in_it_any_way(job):
    assert job_from_data(json.loads(to_line(job_to_data(job)))) == job
    data = json.loads(to_line(order_to_data(job)))
    order = order_from_data(data)
    assert all(getattr(order, name) == getattr(job, name) for name in ORDER_FIELDS)
    own = {"binary", "tool_version", "tfstate", "cache", "shared", "shared_bytes", "cli_config", "lease"}
    assert own.isdisjoint(data), "what belongs to one machine"
    assert own | data.keys() == job_to_data(job).keys()


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(LegReport("r", 1, Leg.PLAN, Ending.LOST, "X", "m", Phase.INIT), id="bare"),
        pytest.param(
            LegReport(
                "r",
                1,
                Leg.PLAN,
                Ending.SUCCEEDED,
                "Planned",
                "m",
                Phase.PLAN,
                {Phase.INIT: 0.5},
                planned=Planned(
                    True,
                    (CHANGE,),
                    (CHANGE,),
                    (OutputChange("o", Action.UPDATE, 1, "(sensitive)", sensitive=True),),
                    made_by=MadeBy("/opt/terraform_1.9.8", "1.9.8"),
                ),
                plan_digest="ab",
                waiting=True,
            ),
            id="plan",
        ),
        pytest.param(
            LegReport(
                "r",
                1,
                Leg.APPLY,
                Ending.SUCCEEDED,
                "Applied",
                "m",
                Phase.APPLY,
                applied=Applied((Resource("a", "t", "p", {"k": [1]}),), (Output("o", {"v": 1}, True),)),
                pending_tfstate=Path("/x/y"),
            ),
            id="apply",
        ),
        pytest.param(
            LegReport("r", 1, Leg.APPLY, Ending.SUCCEEDED, "Applied", "m", Phase.APPLY, applied=Applied()),
            id="a tool that cannot list its resources",
        ),
    ],
)
def test_a_report_survives_the_disk(report):
    assert report_from_data(json.loads(to_line(report_to_data(report)))) == report


def test_secrets_are_not_in_what_a_job_prints():
    assert "s3cret" not in repr(JOB)
    assert "hunter2" not in repr(JOB)
    assert "1b1b" not in repr(JOB)
    assert "hunter2" not in repr(JOB)
