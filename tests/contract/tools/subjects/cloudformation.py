from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from tests.contract.tools.subjects.base import SECRET, Subject
from tests.tools.aws import CREDENTIALS, REGION, running_aws


class TheSubject(Subject):
    """Makes a parameter of Systems Manager, in a server that answers as AWS does."""

    tool = "cloudformation"
    cannot: ClassVar = {
        "changed outside": "the tests' AWS has no drift detection",
        "failure in the middle": "CloudFormation rolls a failed apply back by itself",
        "canceled": "the tests' AWS is done at once",
        "hangs": "the tests' AWS is done at once",
    }

    def __init__(self, world: Path) -> None:
        super().__init__(world)
        self._exit = ExitStack()
        self._aws = self._exit.enter_context(running_aws())

    def spec(self) -> dict[str, Any]:
        settings = {
            "stackName": "it",
            "region": REGION,
            "template": "template.json",
            "endpointUrl": self._aws.url,
            "sensitiveOutputs": ["secret"],
        }
        return {"cloudformation": settings, "env": CREDENTIALS}

    def failing(self) -> dict[str, str]:
        """Return nothing: `cannot` says why."""
        return {}

    def hanging(self) -> dict[str, str]:
        """Return nothing: `cannot` says why."""
        return {}

    def files(self, text: str) -> dict[str, str]:
        thing = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "thing", "Type": "String", "Value": text}}
        outputs = {"greeting": {"Value": f"hello {text}"}, "secret": {"Value": SECRET}}
        return {"template.json": json.dumps({"Resources": {"Thing": thing}, "Outputs": outputs})}

    def made(self) -> str | None:
        found = self._aws.client("ssm").describe_parameters()["Parameters"]
        return self._aws.client("ssm").get_parameter(Name="thing")["Parameter"]["Value"] if found else None

    def close(self) -> None:
        self._aws.reset()
        self._exit.close()
