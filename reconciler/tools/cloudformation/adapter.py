"""CloudFormation: a change set is the saved plan, and exactly that one is executed.

The package `program` speaks to AWS. It runs as a command inside the sandbox, with the credentials that the documents
give and no others, because AWS's settings can name programs to run.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from reconciler.core.results import Action, Applied, Output, Planned, Resource, ResourceChange
from reconciler.tools.base import Abilities, Do, References, SourceReader, StepFailed, ToolJob
from reconciler.tools.files import fresh_directory, read_json, remove, shape_of, write_scratch

_PROGRAM = Path(__file__).parent / "program"
_MAIN = b"import sys\n\nfrom program.commands import main\n\nmain(sys.argv[1:])\n"
_PROVIDER = "aws"
_ACTIONS = {
    "Add": Action.CREATE,
    "Modify": Action.UPDATE,
    "Dynamic": Action.UPDATE,
    "SyncWithActual": Action.UPDATE,
    "Remove": Action.DELETE,
    "Import": Action.IMPORT,
}
_KEEPS = {"Retain", "Snapshot"}
_VERSION = re.compile(r"^[0-9]+\.[0-9.]+\S*$")


class CloudFormation:
    """Runs the program, with the Python that this service runs with."""

    name = "cloudformation"
    binaries: tuple[str, ...] = (sys.executable,)
    abilities = Abilities(plans_drift=False, managed_tfstate=False)

    def version_command(self, binary: str) -> Sequence[str] | None:
        """Return a command that prints the version of botocore."""
        script = "import importlib.metadata as it\ntry: print(it.version('botocore'))\nexcept Exception: print('none')"
        return (binary, "-I", "-c", script)

    def read_version(self, printed: str) -> str:
        """Return the version of botocore; ValueError, with what to do, where it is not installed."""
        if not _VERSION.match(printed.strip()):
            raise ValueError("botocore is not installed: pip install 'stationkeeper[cloudformation]'")
        return printed.strip()

    def references(self, reader: SourceReader, path: str) -> References:  # noqa: ARG002 - the protocol's signature
        """Find nothing: a template names what lies in buckets, and `include` what else it is made from."""
        return References()

    def init(self, job: ToolJob, do: Do) -> None:
        """Do nothing: a template that is wrong fails the plan."""

    def plan(self, job: ToolJob, do: Do) -> Planned:
        """Make a change set, and return what it would do."""
        token = f"{_mine(job)}{os.urandom(8).hex()}"
        result = _ask(job, do, "destroy-plan" if job.destroy else "plan", {"token": token})
        saved = {"token": token, "changeSet": result.get("changeSet"), "stackId": result.get("stackId")}
        write_scratch(_saved(job), json.dumps(saved).encode())
        return planned(result, _sensitive(job))

    def apply(self, job: ToolJob, do: Do) -> Applied:
        """Execute the change set, or delete the stack."""
        saved = read_json(_saved(job))
        if not isinstance(saved, dict):
            raise StepFailed("the saved plan cannot be read")
        if job.destroy:
            _ask(job, do, "destroy", saved)
            return Applied(resources=())
        return applied(_ask(job, do, "apply", saved), _sensitive(job))

    def environment(self, job: ToolJob) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: the documents' own variables are all that its commands need."""
        return {}

    def plan_files(self, job: ToolJob) -> Sequence[Path]:
        """Name the file that names the change set."""
        return (_saved(job),)


@shape_of("the change set")
def planned(result: Any, sensitive: frozenset[str]) -> Planned:
    """Turn what the program found into changes."""
    outputs = () if result["hasChanges"] else tuple(_outputs(result.get("outputs") or {}, sensitive))
    return Planned(
        has_changes=result["hasChanges"],
        changes=tuple(map(_change, result.get("changes") or ())),
        drifted=tuple(map(_change, result.get("drift") or ())),
        present=outputs,
    )


@shape_of("the stack")
def applied(result: Any, sensitive: frozenset[str]) -> Applied:
    """Turn what the program left behind into resources and outputs."""
    return Applied(
        resources=tuple(
            Resource(each["address"], each["type"], _PROVIDER, {"id": each.get("id"), "status": each.get("status")})
            for each in result["resources"]
        ),
        outputs=tuple(_outputs(result["outputs"], sensitive)),
    )


def _change(each: Mapping[str, Any]) -> ResourceChange:
    action = _ACTIONS.get(each["action"], Action.UPDATE)
    if action is Action.UPDATE and each.get("replacement") in {"True", "Conditional"}:
        action = Action.REPLACE
    if action is Action.DELETE and each.get("policy") in _KEEPS:
        action = Action.FORGET
    return ResourceChange(each["address"], each["type"], _PROVIDER, action, each.get("before"), each.get("after"))


def _outputs(found: Mapping[str, Any], sensitive: frozenset[str]) -> Iterator[Output]:
    for name, value in sorted(found.items()):
        yield Output(name, value, name in sensitive)


def _sensitive(job: ToolJob) -> frozenset[str]:
    return frozenset(job.options.get("sensitiveOutputs") or ())


def _ask(job: ToolJob, do: Do, command: str, more: Mapping[str, Any]) -> Any:
    request, result = (job.scratch / name for name in ("request.json", "result.json"))
    write_scratch(request, json.dumps({**job.options, **more, "mine": _mine(job), "check": job.check}).encode())
    remove(result)
    # A machine's own role is not the run's.
    env = {} if "AWS_EC2_METADATA_DISABLED" in job.env else {"AWS_EC2_METADATA_DISABLED": "true"}
    words = (job.binary, "-I", str(_copied(job)), command, str(request), str(result))
    try:
        do(words, env={**env, "PYTHONUNBUFFERED": "1"}, shown=False)
        answer = read_json(result)
    finally:
        for file in (request, result):
            remove(file)
    if answer is None:
        raise StepFailed("cloudformation gave no answer")
    return answer


def _copied(job: ToolJob) -> Path:
    """Return a copy of the program: this package may lie where the sandbox shows nothing."""
    top = fresh_directory(job.scratch / "cloudformation")
    write_scratch(top / "__main__.py", _MAIN)
    package = fresh_directory(top / _PROGRAM.name)
    for file in _PROGRAM.glob("*.py"):
        write_scratch(package / file.name, file.read_bytes())
    return top


def _mine(job: ToolJob) -> str:
    """Return what begins the names of this stack's change sets: two stacks may share one of CloudFormation's."""
    return f"station-{sha256(job.stack.encode()).hexdigest()[:12]}-"


def _saved(job: ToolJob) -> Path:
    return job.scratch / "changeset.json"
