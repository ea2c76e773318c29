"""A push of 1,000 signed commits, each judged by the rules before it: from the fetch to the desired state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Figure, Limit
from bench.installations import settings
from reconciler.bootstrap import open_service
from reconciler.git.authoring import Pen, commit_all

COMMITS = 1000
STACKS = 50


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure the admission of the whole push at once."""
    scratch.mkdir(parents=True, exist_ok=True)
    work = scratch / "work"
    work.mkdir()
    pen = Pen.make("ada", scratch / "ada")
    for number in range(STACKS):
        (work / f"s{number}.yaml").write_text(_stack(number, 0))
    user = (
        f"apiVersion: stationkeeper/v1\nkind: User\nmetadata: {{name: ada}}\nspec: {{signingKeys: ['{pen.public}']}}\n"
    )
    (work / "users.yaml").write_text(user)
    commit_all(work, "Begin", pen)
    wanted = settings(work.as_uri(), scratch / "data").model_copy(update={"admins": ("ada",)})
    with open_service(wanted, port=0) as service:
        service.loop.look()
        for number in range(1, COMMITS + 1):
            (work / f"s{number % STACKS}.yaml").write_text(_stack(number % STACKS, number))
            commit_all(work, f"Change {number}", pen)
        started = time.perf_counter()
        service.loop.look()
        seconds = time.perf_counter() - started
        with service.store.reading() as reading:
            held, state = reading.held_changes(), reading.configuration()
        service.loop.dispatcher.close()
    if held or state.admitted_revision != state.attempted_revision:
        raise AssertionError("the push was not admitted whole")
    yield Figure(f"admit a push of {COMMITS:,} signed commits", seconds, "s", limit=10.0, kind=Limit.AT_MOST)


def _stack(number: int, version: int) -> str:
    return (
        f"apiVersion: stationkeeper/v1\nkind: Stack\nmetadata: {{name: s{number}}}\n"
        f'spec: {{tool: script, script: {{apply: "true"}}, env: {{VERSION: "{version}"}}}}\n'
    )
