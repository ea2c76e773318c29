"""Effective configuration: 10,000 stacks with 20 contexts each over 1,000 spaces, and the cost of one change."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from bench.harness import Figure, Limit
from bench.installations import installation
from bench.repositories import Repository
from rbac.admission.admit import Admission, Commit, admit
from rbac.admission.settings import Rules
from spaces.effective.stack import Layers, effective
from spaces.in_force import InForce, affected
from spaces.names import Revision, StackId

SPACES, STACKS, DEPTH = 1_000, 10, 5
"""Spaces, stacks in each of them, and levels of spaces below the top one."""
NAMED, EVERYBODYS, BY_LABEL = 16, 2, 2
"""Contexts of each stack: named by it (half of its own space, half of the top), attached to all, attached by labels."""
GROUPS = 1_000
"""The labels by which a context attaches itself to ten stacks, spread over all spaces."""
ROUNDS = 7


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure all stacks at once, those of one context, and the way from the commit to the decision."""
    files = make_files()
    first = _admitted(None, "0", files)
    now = first.in_force
    _expect(len(now.documents.stacks()) == SPACES * STACKS and not now.diagnostics, "the repository is not sound")
    every = now.documents.stacks()
    _expect(_all(now, every) == {NAMED + EVERYBODYS + BY_LABEL}, "not 20 contexts each")
    seconds = _median(lambda: _all(now, every))
    yield Figure("effective configuration of 10,000 stacks", seconds, "s", limit=2, kind=Limit.AT_MOST)
    one = seconds / len(every)
    for what, path, count in (
        ("  of 10 that name a changed context", "space-0504/contexts.yaml", 10),
        ("  of 10 that it attaches itself to by a label", "groups/7.yaml", 10),
        ("  of 10,000 that it attaches itself to", "top/everybody.yaml", 10_000),
    ):
        after = _admitted(first, "1", {path: files[path].replace(b"value", b"other", 1)}).in_force
        users = affected(now, after)
        _expect(len(users) == count, f"{len(users)} stacks are affected by {path}")
        taken = _median(partial(_affected, now, after))
        yield Figure(what, taken * 1e3, "ms", one * count * 1e3, "their share of all", 1.5 if count > 10 else 15)
    yield from _decisions(scratch, files)


def _decisions(scratch: Path, files: Mapping[str, bytes]) -> Iterator[Figure]:
    repository = Repository.create(scratch / "config.git")
    repository.commit(files)
    with installation(repository.url, scratch / "data") as service:
        service.service.loop.look()
        _expect(service.settle() == SPACES * STACKS, "the repository was not taken in whole")
        for what, path in (
            ("a context that 10 of 10,000 stacks name, decided", "space-0504/contexts.yaml"),
            ("a context attached by a label to 10, decided", "groups/7.yaml"),
        ):
            beside = []
            for round_ in range(ROUNDS):
                repository.commit({path: files[path].replace(b"value", b"value-%d" % round_, 1)})
                gc.collect()
                # Processor time, because other programs on the machine affect the wall clock.
                whole, fetch = service.decide(time.process_time)
                beside.append(whole - fetch)
                _expect(service.settle() == 10, "not ten stacks had a run")
            yield Figure(
                f"{what}, beside the fetch", statistics.median(beside) * 1e3, "ms", limit=50, kind=Limit.AT_MOST
            )


def make_files() -> dict[str, bytes]:
    chance = Random(20)
    files = {
        "top/space.yaml": _document("Space", "top", {"inherit": True}),
        "top/everybody.yaml": _contexts([f"all-{n}" for n in range(EVERYBODYS)], attach={}),
        "top/named.yaml": _contexts([f"top-{n}" for n in range(NAMED)]),
        "top/web.yaml": _contexts(["web"], attach={"matchLabels": {"tier": "web"}}),
    }
    for group in range(GROUPS):
        attach = {"matchLabels": {"group": f"g{group}"}}
        files[f"groups/{group}.yaml"] = _contexts([f"group-{group}"], attach=attach, space="top")
    for number in range(SPACES - 1):
        name = f"space-{number:04}"
        level = number % DEPTH
        parent = f"space-{number - 1:04}" if level else "top"
        files[f"{name}/space.yaml"] = _document("Space", name, {"parent": parent, "inherit": True})
        files[f"{name}/contexts.yaml"] = _contexts([f"own-{n}" for n in range(NAMED // 2)])
        files[f"{name}/stacks.yaml"] = _stacks(number, chance, [f"own-{n}" for n in range(NAMED // 2)])
    files["top/stacks.yaml"] = _stacks(SPACES - 1, chance, [f"top-{n + NAMED // 2}" for n in range(NAMED // 2)])
    return files


def _stacks(space: int, chance: Random, own: list[str]) -> bytes:
    made = []
    for number in range(STACKS):
        names = [f"top-{n}" for n in range(NAMED // 2)] + own
        spec = {
            "tool": "script",
            "script": {"apply": "true"},
            "env": {f"OWN_{n}": "1" for n in range(3)},
            "contexts": [{"name": name, "priority": n} for n, name in enumerate(chance.sample(names, len(names)))],
        }
        labels = {"tier": "web", "group": f"g{(space * STACKS + number) % GROUPS}"}
        made.append(_document("Stack", f"stack-{number}", spec, labels=labels))
    return b"---\n".join(made)


def _contexts(names: list[str], *, space: str | None = None, **spec: Any) -> bytes:
    """Return contexts, each with a value of its own and one that others set too."""
    made = []
    for name in names:
        env = {"SHARED": name, f"OF_{name.replace('-', '_').upper()}": "value", "LEVEL": "info"}
        more = {"files": {f"{name}.conf": "x"}, "hooks": {"before": {"plan": [f"echo {name}"]}}}
        metadata = {"space": space} if space else {}
        made.append(_document("Context", name, {"env": env, **more, **spec}, **metadata))
    return b"---\n".join(made)


def _document(kind: str, name: str, spec: Mapping[str, Any], **metadata: Any) -> bytes:
    document = {
        "apiVersion": "stationkeeper/v1",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }
    return json.dumps(document).encode() + b"\n"


def _admitted(before: Admission | None, digit: str, changed: Mapping[str, bytes]) -> Admission:
    found = admit(before, Commit(Revision(digit * 40), changed), Rules(), datetime.now(UTC))
    _expect(isinstance(found, Admission), "a commit was not admitted")
    assert isinstance(found, Admission)
    return found


def _affected(before: InForce, after: InForce) -> None:
    _all(after, affected(before, after))


def _all(in_force: InForce, stacks: Iterable[StackId]) -> set[int]:
    """Compute every stack, and return the number of contexts that they use."""
    known: Layers = {}
    return {len(effective(in_force.documents, stack, known).contexts) for stack in stacks}


def _median(work: Callable[[], object]) -> float:
    """Return the seconds of processor time of a piece of work."""
    taken = []
    for _ in range(ROUNDS):
        gc.collect()
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def _expect(true: object, words: str) -> None:
    if not true:
        raise AssertionError(words)
