"""The kind WorkerPool, and which pool starts the runs of a stack."""

from __future__ import annotations

import pytest

from reconciler.core.digest import fingerprint
from spaces.effective.pools import pools
from spaces.effective.stack import effective
from spaces.in_force import affected
from spaces.validate import validate_files
from tests.unit.spaces.builders import begin, doc, go_on, space, stack, stack_id
from tests.unit.spaces.model.specs import refused

LOCAL = {"engine": "local"}


def pool(name: str, spec: dict | None = None, in_space: str | None = None) -> bytes:
    return doc("WorkerPool", name, spec or LOCAL, **({"space": in_space} if in_space else {}))


def using(name: str, wanted: str, in_space: str | None = None) -> bytes:
    return stack(name, in_space=in_space, workerPool=wanted)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("  maxParallel: 1\n", [("missing-key", 0, 1)]),
        ("  engine: lokal\n", [("invalid-value", 1, 11)]),
        ("  engine: local\n  maxParallel: 0\n", [("invalid-value", 2, 16)]),
        ("  engine: local\n  maxParallel: '2'\n", [("wrong-type", 2, 16)]),
        ("  engine: local\n  maxParallel: 2\n  driftParallel: 3\n", [("invalid-value", 3, 18)]),
        ("  engine: local\n  tools: [script, terafrom]\n", [("invalid-value", 2, 19)]),
        ("  engine: local\n  tools: []\n", [("invalid-value", 2, 10)]),
    ],
)
def test_what_no_pool_can_say(spec: str, expected: list) -> None:
    assert refused("WorkerPool", spec) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"p.yaml": pool("big"), "s.yaml": using("s", "big")}, []),
        ({"s.yaml": using("s", "default")}, []),
        ({"p.yaml": pool("big"), "s.yaml": using("s", "bik")}, ["s.yaml:1 unknown-pool did you mean big?"]),
        (
            {"p.yaml": pool("big"), "t/space.yaml": space("team", inherit=False), "t/s.yaml": using("s", "big")},
            ["t/s.yaml:1 unknown-pool it must be in team, or in a space that team inherits from"],
        ),
        ({"p.yaml": pool("default")}, ["p.yaml:1 reserved-name give it another name"]),
        (
            {"p.yaml": pool("big", LOCAL | {"tools": ["ansible"]}), "s.yaml": using("s", "big")},
            ["s.yaml:1 pool-lacks-tool name another pool, or add terraform to spec.tools of this one"],
        ),
        ({"p.yaml": pool("big", LOCAL | {"tools": ["ansible", "terraform"]}), "s.yaml": using("s", "big")}, []),
    ],
    ids=["good", "the machine", "unknown", "does not flow", "the name of the machine", "another tool", "its tool"],
)
def test_a_pool_is_a_good_that_flows_down(files: dict, expected: list) -> None:
    told = validate_files(files)
    assert [f"{it.position.file}:{it.position.line} {it.code} {it.hint}" for it in told] == expected


def test_a_pool_keeps_a_tool_that_a_stack_in_force_uses() -> None:
    before = begin({"p.yaml": pool("big"), "s.yaml": using("s", "big")})
    after = go_on(before, {"p.yaml": pool("big", LOCAL | {"tools": ["ansible"]})})
    (told,) = after.diagnostics
    assert (told.code, told.position.file) == ("still-in-use", "s.yaml")
    assert "the machines of WorkerPool root/big do not have" in told.summary
    assert pools(after.documents)["root/big"].tools is None


def test_stacks_take_the_nearest_pool_and_their_digest_does_not_know_it() -> None:
    files = {
        "p.yaml": pool("big", LOCAL | {"maxParallel": 3, "driftParallel": 1}),
        "t/space.yaml": space("team", inherit=True),
        "t/s.yaml": using("s", "big"),
        "u.yaml": stack("u"),
    }
    before = begin(files)
    far, none = (effective(before.documents, stack_id(name)) for name in ("team/s", "root/u"))
    assert ([str(far.pool), none.pool], {n: it.max_parallel for n, it in pools(before.documents).items()}) == (
        ["WorkerPool root/big", None],
        {"root/big": 3},
    )
    after = go_on(before, {"t/p.yaml": pool("big")})
    near = effective(after.documents, stack_id("team/s"))
    assert str(near.pool) == "WorkerPool team/big"
    assert stack_id("team/s") in affected(before.in_force, after.in_force)
    assert fingerprint(near, None).digest == fingerprint(far, None).digest
