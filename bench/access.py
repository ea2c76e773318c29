"""Access: decisions and compiling from 100 to 100,000 bindings over 1,000 spaces of depth 8, each against its limit."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from rbac.access import Access
from rbac.actions import Action
from rbac.documents import AccessDocuments
from rbac.subjects import Subject, user
from spaces.model.group import GroupSpec
from spaces.model.role import RoleSpec
from spaces.model.role_binding import RoleBindingSpec
from spaces.model.user import UserSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.tree import SpaceNode, SpaceTree

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SPACES, DEPTH, USERS, GROUPS, STACKS = 1_000, 8, 2_000, 200, 10_000
SIZES = (100, 1_000, 10_000, 100_000)
QUESTIONS = 5_000
ROLES = ("reader", "operator", "writer", "admin", "deployer")
ASKED = tuple(map(Action.parse, ("stack:read", "stack:update", "run:confirm", "policy:update", "space:read")))


def make_tree(chance: random.Random) -> SpaceTree:
    nodes: dict[SpaceName, SpaceNode] = {}
    levels: list[list[SpaceName]] = [[ROOT]]
    for level in range(1, DEPTH + 1):
        names = [SpaceName(f"s{level}-{n}") for n in range(SPACES // DEPTH)]
        nodes.update({name: SpaceNode(chance.choice(levels[-1]), chance.random() < 0.5) for name in names})
        levels.append(names)
    return SpaceTree.build(nodes)


def make_documents(count: int, tree: SpaceTree, chance: random.Random, *, skewed: bool = False) -> AccessDocuments:
    spaces = [SpaceName("s1-0")] if skewed else list(tree.spaces())
    bindings = {}
    for index in range(count):
        subject = (
            {"group": f"g{chance.randrange(GROUPS)}"} if index % 4 == 0 else {"user": f"u{chance.randrange(USERS)}"}
        )
        spec = RoleBindingSpec.model_validate({"role": chance.choice(ROLES), "subjects": [subject]})
        bindings[ResourceRef(Kind.ROLE_BINDING, chance.choice(spaces), f"b{index}")] = spec
    members = {f"g{n}": tuple(f"u{chance.randrange(USERS)}" for _ in range(20)) for n in range(GROUPS)}
    return AccessDocuments(
        roles={"deployer": RoleSpec(actions=("stack:read", "run:*"))},
        bindings=bindings,
        users={f"u{n}": UserSpec() for n in range(USERS)},
        groups={name: GroupSpec(members=tuple(dict.fromkeys(names))) for name, names in members.items()},
    )


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def decisions(access: Access, chance: random.Random) -> list[float]:
    """Microseconds of each of many random questions, sorted."""
    spaces = list(access.tree.spaces())
    access.decide(user("u0"), ASKED[0], ROOT)
    asked = [
        (user(f"u{chance.randrange(USERS)}"), chance.choice(ASKED), chance.choice(spaces)) for _ in range(QUESTIONS)
    ]
    return sorted(timed(lambda question=question: access.decide(*question)) * 1e6 for question in asked)  # type: ignore[misc]


def row(what: str, measured: str, limit: str, *, good: bool) -> None:
    print(f"{what:<58} {measured:>28}   limit {limit:<12} {'ok' if good else 'MISSED'}")


def decide_rows() -> None:
    medians = {}
    for skewed in (False, True):
        for size in SIZES:
            chance = random.Random(size)
            tree = make_tree(chance)
            access = Access.compile(make_documents(size, tree, chance, skewed=skewed), tree, [], NOW)
            times = decisions(access, chance)
            median, last = statistics.median(times), times[int(len(times) * 0.99)]
            medians[skewed, size] = median
            where = "on one ancestor" if skewed else "everywhere"
            measured = f"{median:.0f} µs, p99 {last:.0f} µs"
            row(f"decide, {size:,} bindings {where}", measured, "50, 200 µs", good=median <= 50 and last <= 200)
    ratio = medians[False, SIZES[-1]] / medians[False, SIZES[0]]
    row(f"decide, {SIZES[-1]:,} against {SIZES[0]:,} bindings", f"{ratio:.2f} x", "2 x", good=ratio <= 2)


def compile_rows() -> None:
    chance = random.Random(1)
    tree = make_tree(chance)
    documents = make_documents(SIZES[-1], tree, chance)
    answering = Access.compile(make_documents(SIZES[0], tree, chance), tree, [], NOW)
    answering.decide(user("u0"), ASKED[0], ROOT)
    took: list[float] = []
    compiling = threading.Thread(target=lambda: took.append(timed(lambda: Access.compile(documents, tree, [], NOW))))
    longest = 0.0
    alone = min(timed(lambda: Access.compile(documents, tree, [], NOW)) for _ in range(3))
    compiling.start()
    while compiling.is_alive():
        longest = max(longest, timed(lambda: answering.decide(user("u0"), ASKED[0], ROOT)))
    compiling.join()
    row(f"compile {SIZES[-1]:,} bindings", f"{alone:.2f} s", "2 s", good=alone <= 2)
    row("the longest answer of the old rules meanwhile", f"{longest * 1e3:.0f} ms", "250 ms", good=longest <= 0.25)


def list_rows() -> None:
    chance = random.Random(2)
    tree = make_tree(chance)
    access = Access.compile(make_documents(SIZES[-1], tree, chance), tree, [], NOW)
    spaces = list(tree.spaces())
    stacks = [chance.choice(spaces) for _ in range(STACKS)]

    def visible(subject: Subject) -> int:
        allowed = access.spaces_where(subject, ASKED[0])
        return sum(space in allowed for space in stacks)

    visible(user("u0"))
    times = sorted(timed(lambda n=n: visible(user(f"u{n}"))) * 1e3 for n in range(50))  # type: ignore[misc]
    measured = f"{statistics.median(times):.1f} ms, most {times[-1]:.1f} ms"
    row(f"what one person sees of {STACKS:,} stacks", measured, "50 ms", good=times[-1] <= 50)


def main() -> None:
    decide_rows()
    compile_rows()
    list_rows()


if __name__ == "__main__":
    main()
