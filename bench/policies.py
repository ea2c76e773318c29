"""Policies on a plan of 100 resources, from the question to the verdict, including the process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.harness import Figure, Limit, alternate, timed
from reconciler.policies.process import ask

_ROUNDS = 9
_RESOURCES = 100
_RULE = """
package stationkeeper

required := {"owner", "environment", "team"}

deny contains msg if {
  some change in input.plan.changes
  change.action in {"create", "update"}
  missing := required - object.keys(change.after.tags)
  count(missing) > 0
  msg := sprintf("%s lacks %v", [change.address, missing])
}

warn contains msg if {
  gone := [change | some change in input.plan.changes; change.action == "delete"]
  count(gone) > 3
  msg := sprintf("%d would go", [count(gone)])
}
"""


def measure(scratch: Path) -> Iterator[Figure]:
    _ = scratch
    given = {"plan": {"changes": [_change(number) for number in range(_RESOURCES)], "outputs": []}}
    for policies in (1, 10):
        questions = [{"text": _RULE, "rules": ["deny", "warn"]}] * policies
        (seconds,) = alternate(_ROUNDS, lambda asked=questions: timed(lambda: ask("judge", asked, given)))
        name = f"{policies} polic{'y' if policies == 1 else 'ies'} on a plan of {_RESOURCES} resources"
        limit = 100 if policies == 1 else None
        yield Figure(name, seconds * 1000, "ms", against="the process included", limit=limit, kind=Limit.AT_MOST)


def _change(number: int) -> dict[str, object]:
    after = {
        "name": f"bucket-{number}",
        "tags": {"owner": "platform", "environment": "production"},
        "rules": [{"cidr": f"10.{number}.{each}.0/24", "port": 443} for each in range(10)],
    }
    action = "delete" if number % 10 == 0 else "create"
    address = f"module.storage[{number}].aws_s3_bucket.this"
    return {
        "address": address,
        "type": "aws_s3_bucket",
        "provider": "aws",
        "action": action,
        "before": None,
        "after": after,
    }
