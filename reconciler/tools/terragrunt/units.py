"""All units below a directory: one list of changes, and an apply in which no unit goes on a plan that is untrue.

A unit that depends on one with changes was planned with outputs that the apply may change, or with mock outputs. Its
saved plan is not applied. Once the units before it are applied, it is planned again; if that plan does nothing but what
the first one said, it is applied, and otherwise the run fails and the stack is planned anew. So nothing is applied that
nobody saw.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconciler.core.results import Applied, Output, Planned, Resource
from reconciler.tools.base import Do, StepFailed, ToolJob, leaving
from reconciler.tools.files import fresh_directory, parse_json, read_json, read_result, remove, shape_of, write_scratch
from reconciler.tools.terraform.plan import Expected, expected, planned
from reconciler.tools.terraform.scratch import expected_path
from reconciler.tools.terraform.tfstate import applied
from reconciler.tools.terragrunt.command import READING, printed, run, terragrunt
from reconciler.tools.terragrunt.kept import refuse_lost
from reconciler.tools.terragrunt.stand_in import PULLED, write_stand_in

_BETWEEN = "::"
"""Stands between a unit and an address in it: `net/eu::aws_vpc.main`."""


@dataclass(frozen=True, slots=True)
class TerragruntUnit:
    """One unit: its path below the directory, and those that it depends on."""

    path: str
    needs: frozenset[str] = frozenset()


def plan(job: ToolJob, do: Do, env: Mapping[str, str]) -> Planned:
    """Plan every unit, and return the changes of all of them in one list; addresses carry the unit."""
    graph = _graph(job, do, env)
    plans = _plan(job, do, env, "plans", ())
    refuse_lost(job, plans)
    write_scratch(_graph_path(job), json.dumps([[unit.path, sorted(unit.needs)] for unit in graph]).encode())
    known = {path: expected(document).to_data() for path, document in plans.items()}
    write_scratch(expected_path(job), json.dumps(known).encode())
    found = {path: _planned(path, document) for path, document in plans.items()}
    changes = {path: sorted(_does(it)) for path, it in found.items()}
    write_scratch(_said_path(job), json.dumps(changes).encode())
    return Planned(
        has_changes=any(it.has_changes for it in found.values()),
        changes=tuple(change for it in found.values() for change in it.changes),
        drifted=tuple(change for it in found.values() for change in it.drifted),
        outputs=tuple(change for it in found.values() for change in it.outputs),
        present=tuple(output for it in found.values() for output in it.present),
    )


def apply(job: ToolJob, do: Do, env: Mapping[str, str]) -> Applied:
    """Apply the saved plans in the order of the graph, and read what all units leave."""
    graph = [TerragruntUnit(path, frozenset(needs)) for path, needs in read_json(_graph_path(job))]
    said = {path: [tuple(each) for each in does] for path, does in read_json(_said_path(job)).items()}
    known = {path: Expected.from_data(it) for path, it in read_json(expected_path(job)).items()}

    def left() -> Applied:
        return _left(job, do, env, known, [unit.path for unit in graph])

    with leaving(left):
        _apply_waves(job, do, env, graph, said, known)
    return Applied(resources=()) if job.destroy else left()


def _apply_waves(  # noqa: PLR0917
    job: ToolJob,
    do: Do,
    env: Mapping[str, str],
    graph: Sequence[TerragruntUnit],
    said: Mapping[str, list[tuple[str, ...]]],
    known: dict[str, Expected],
) -> None:
    """Apply the saved plans. A unit whose plan rests on mocks is planned again; what that expects is `known` then."""
    for wave in _waves([unit for unit in graph if unit.path in said], backwards=job.destroy):
        untrue = [] if job.destroy else [unit.path for unit in wave if _rests_on_changes(unit, graph, said)]
        true = [unit.path for unit in wave if unit.path not in untrue and said[unit.path]]
        if true:
            _apply(job, do, env, "plans", true)
        if untrue:
            documents = _plan(job, do, env, "again", untrue)
            for path, document in documents.items():
                known[path] = expected(document)
            _refuse_surprises(documents, said)
            _apply(job, do, env, "again", sorted(documents))


def plan_files(job: ToolJob) -> Sequence[Path]:
    """Name the saved plans of all units, and what was noted of them."""
    notes = (_graph_path(job), expected_path(job), _said_path(job))
    return (*notes, *sorted((job.scratch / "plans").rglob("*.tfplan")))


@shape_of("terragrunt find --json")
def units_in(found: Any) -> list[TerragruntUnit]:
    """Read the graph; parents come before those that depend on them."""
    return [TerragruntUnit(it["path"], frozenset(it.get("dependencies") or ())) for it in found if it["type"] == "unit"]


def _graph(job: ToolJob, do: Do, env: Mapping[str, str]) -> list[TerragruntUnit]:
    command = terragrunt(job, "find", "--json", "--dag", "--dependencies", *_chosen(job, ()))
    file = printed(job, do, command, env, "units.json")
    try:
        graph = units_in(read_json(file))
    finally:
        remove(file)
    if not graph:
        raise StepFailed("there is no unit: no terragrunt.hcl below the source's path fits the filter")
    return graph


def _plan(job: ToolJob, do: Do, env: Mapping[str, str], folder: str, only: Sequence[str]) -> dict[str, Any]:
    """Plan units, and return each plan's JSON by unit."""
    plans, shown = (fresh_directory(job.scratch / name) for name in (folder, f"{folder}-json"))
    flags = ("--all", "--out-dir", str(plans), "--json-out-dir", str(shown), *_chosen(job, only))
    destroy = ("-destroy",) if job.destroy else ()
    words = ("plan", "-input=false", "-no-color", "-detailed-exitcode", *destroy)
    try:
        do(run(job, *words, flags=flags), ok=(0, 2), env=env)
        files = sorted(shown.rglob("*.json"))
        return {str(file.parent.relative_to(shown)): read_json(file, top=job.scratch) for file in files}
    finally:
        shutil.rmtree(shown, ignore_errors=True)  # they hold sensitive values in clear


def _apply(job: ToolJob, do: Do, env: Mapping[str, str], folder: str, only: Sequence[str]) -> None:
    flags = ("--all", "--out-dir", str(job.scratch / folder), *_chosen(job, only))
    do(run(job, "apply", "-input=false", "-no-color", flags=flags), env=env)


def _chosen(job: ToolJob, only: Sequence[str]) -> Iterator[str]:
    """Yield the flags that choose units: those named, or those of the document's filter."""
    if only:
        for path in only:
            yield from ("--filter", f"./{path}" if path != "." else "{.}")
    elif job.options.get("filter"):
        yield from ("--filter", str(job.options["filter"]))


def _planned(path: str, document: Any) -> Planned:
    it = planned(document, has_changes=_has_changes(document))
    return replace(
        it,
        changes=tuple(replace(change, address=_address(path, change.address)) for change in it.changes),
        drifted=tuple(replace(change, address=_address(path, change.address)) for change in it.drifted),
        outputs=tuple(replace(change, name=_output(path, change.name)) for change in it.outputs),
        present=tuple(replace(output, name=_output(path, output.name)) for output in it.present),
    )


@shape_of("the plan's JSON")
def _has_changes(document: Any) -> bool:
    changes = [it["change"]["actions"] for it in document.get("resource_changes") or ()]
    outputs = [it["actions"] for it in (document.get("output_changes") or {}).values()]
    return any(actions not in (["no-op"], ["read"]) for actions in (*changes, *outputs))


def _does(it: Planned) -> Iterator[tuple[str, str]]:
    for change in it.changes:
        yield change.address, str(change.action)
    for output in it.outputs:
        yield f"output {output.name}", "change"


def _rests_on_changes(unit: TerragruntUnit, graph: Sequence[TerragruntUnit], said: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a unit that this one depends on, at any distance, has changes."""
    by_path = {it.path: it for it in graph}
    waiting, seen = list(unit.needs), set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if said.get(path):
            return True
        waiting += by_path[path].needs if path in by_path else ()
    return False


def _waves(units: Sequence[TerragruntUnit], *, backwards: bool) -> Iterator[list[TerragruntUnit]]:
    """Yield the units in waves, each after those that it depends on; backwards, each before them."""
    left = list(units)
    waves: list[list[TerragruntUnit]] = []
    while left:
        names = {unit.path for unit in left}
        wave = [unit for unit in left if not unit.needs & names]
        if not wave:
            raise StepFailed("the units depend on each other in a circle")
        waves.append(wave)
        left = [unit for unit in left if unit not in wave]
    yield from reversed(waves) if backwards else waves


def _refuse_surprises(documents: Mapping[str, Any], said: Mapping[str, Iterable[Any]]) -> None:
    for path, document in documents.items():
        seen = set(said.get(path, ()))
        new = sorted(set(_does(_planned(path, document))) - seen)
        if new:
            address, action = new[0]
            raise StepFailed(
                f"once what {path} depends on was applied, its plan became another one: it would {action} {address}, "
                "which nobody saw. What was applied before it stays; the next run plans the rest"
            )


def _left(job: ToolJob, do: Do, env: Mapping[str, str], known: Mapping[str, Expected], paths: Sequence[str]) -> Applied:
    """Read what all units leave."""
    pulled = fresh_directory(job.scratch / "pulled")
    told = {**env, **write_stand_in(job, paths), PULLED: str(pulled)}
    try:
        do(run(job, "state", "pull", flags=("--all", *READING, *_chosen(job, ()))), env=told, shown=False)
        texts = {path: read_result(pulled / str(number), top=job.scratch) for number, path in enumerate(paths)}
    finally:
        shutil.rmtree(pulled, ignore_errors=True)
    resources: list[Resource] = []
    outputs: list[Output] = []
    for path, text in texts.items():
        # A unit that Terragrunt leaves out has no file, and one without a tfstate an empty one.
        if text and text.strip():
            it = applied(parse_json(text, f"the tfstate of {path}"), known.get(path, Expected()))
            resources += [replace(each, address=_address(path, each.address)) for each in it.resources or ()]
            outputs += [replace(each, name=_output(path, each.name)) for each in it.outputs]
    return Applied(tuple(resources), tuple(outputs))


def _address(path: str, address: str) -> str:
    return f"{path}{_BETWEEN}{address}"


def _output(path: str, name: str) -> str:
    """Return the name of a unit's output in the stack: `net.eu.vpc_id`, which a dependency can name."""
    return name if path == "." else f"{path.replace('/', '.')}.{name}"


def _graph_path(job: ToolJob) -> Path:
    return job.scratch / "graph.json"


def _said_path(job: ToolJob) -> Path:
    return job.scratch / "said.json"
