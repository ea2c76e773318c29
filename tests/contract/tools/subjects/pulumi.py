from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.tools.subjects.base import SECRET, Subject

PYTHON = Path(__file__).parents[4] / ".tools" / "pulumi-python"

PROJECT = f"name: contract\nruntime:\n  name: python\n  options:\n    virtualenv: {PYTHON}\n"
PROVIDER = """
import os, time
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult


class Files(ResourceProvider):
    def create(self, inputs):
        self.write(inputs)
        return CreateResult(inputs["path"], inputs)

    def write(self, inputs):
        if inputs["text"] == "broken":
            raise Exception("out of luck")
        with open(inputs["path"], "w") as file:
            file.write(inputs["text"])
        if inputs["text"] == "hanging":
            time.sleep(60)

    def read(self, id, props):
        if not os.path.exists(id):
            return ReadResult(None, {})
        with open(id) as file:
            return ReadResult(id, {**props, "text": file.read()})

    def diff(self, id, olds, news):
        return DiffResult(changes=olds["text"] != news["text"])

    def update(self, id, olds, news):
        self.write(news)
        return UpdateResult(news)

    def delete(self, id, props):
        if os.path.exists(id):
            os.remove(id)


class File(Resource):
    def __init__(self, name, path, text, opts=None):
        super().__init__(Files(), name, {"path": path, "text": text}, opts)

"""
"""A provider that is part of the program, so that no plugin has to be had: it makes files."""


class TheSubject(Subject):
    tool = "pulumi"
    needs = ("pulumi",)
    stops = False
    deadline = "15s"

    def __init__(self, world: Path) -> None:
        super().__init__(world)
        if not PYTHON.is_dir():
            pytest.skip("Pulumi's SDK for Python is not there (make tools)")
        # Where the Python lies below a home directory, runs see it only because the operator names it.
        self.settings = {"tool_path": str((PYTHON / "bin" / "python").resolve().parents[1])}

    def spec(self) -> dict[str, Any]:
        return {"pulumi": {"stack": "it", "config": {"contract:word": "hello"}}}

    def files(self, text: str) -> dict[str, str]:
        return self._program(f'thing = File("thing", "{self.world}/thing", "{text}")\n', text)

    def failing(self) -> dict[str, str]:
        after = f'File("after", "{self.world}/after", "broken", pulumi.ResourceOptions(depends_on=[thing]))\n'
        return self._program(f'thing = File("thing", "{self.world}/thing", "half")\n{after}', "half")

    def hanging(self) -> dict[str, str]:
        return self._program(f'thing = File("hanging", "{self.world}/hanging", "hanging")\n', "never")

    def _program(self, things: str, text: str) -> dict[str, str]:
        outputs = (
            f'pulumi.export("greeting", pulumi.Config("contract").require("word") + " {text}")\n'
            f'pulumi.export("secret", pulumi.Output.secret("{SECRET}"))\n'
        )
        return {"Pulumi.yaml": PROJECT, "__main__.py": PROVIDER + things + outputs}
