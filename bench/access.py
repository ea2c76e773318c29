"""Access: decisions and compilation with 100 to 100,000 bindings over 1,000 spaces of depth 8, each with a limit."""

from __future__ import annotations

import base64
import gc
import hashlib
import random
import statistics
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.harness import HEADER, Figure, Limit, timed
from rbac.access.access import Access
from rbac.access.actions import Action
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import user
from rbac.identity import KeyRing, Signer
from reconciler.git.sshsig import verify_ssh
from spaces.documents.tree import SpaceNode, SpaceTree
from spaces.model.people import GroupSpec, UserSpec
from spaces.model.role import RoleBindingSpec, RoleSpec
from spaces.model.signing_keys import parse_signing_key
from spaces.names import ROOT, Kind, ResourceRef, SpaceName

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SPACES, DEPTH, USERS, GROUPS, STACKS = 1_000, 8, 2_000, 200, 10_000
SIZES = (100, 1_000, 10_000, 100_000)
QUESTIONS, COMMITS = 5_000, 1_000
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


def decisions(access: Access, chance: random.Random) -> list[float]:
    """Return the microseconds of many random questions, sorted."""
    spaces = list(access.tree.spaces())
    access.decide(user("u0"), ASKED[0], ROOT)
    asked = [
        (user(f"u{chance.randrange(USERS)}"), chance.choice(ASKED), chance.choice(spaces)) for _ in range(QUESTIONS)
    ]
    gc.collect()
    return sorted(timed(partial(access.decide, *question)) * 1e6 for question in asked)


def decide_figures(*, skewed: bool) -> Iterator[Figure]:
    where = "on one ancestor" if skewed else "everywhere"
    first = None
    for size in SIZES:
        chance = random.Random(size)
        tree = make_tree(chance)
        access = Access.compile(make_documents(size, tree, chance, skewed=skewed), tree, [], NOW)
        times = decisions(access, chance)
        median = statistics.median(times)
        yield Figure(f"decide, {size:,} bindings {where}", median, "µs", limit=50, kind=Limit.AT_MOST)
        yield Figure("  99 of 100 take less than", times[len(times) * 99 // 100], "µs", limit=200, kind=Limit.AT_MOST)
        first = first or median
    yield Figure(f"decide, {SIZES[-1]:,} bindings {where}", median, "µs", first, f"{SIZES[0]} bindings", 1.5)


def compile_figures() -> Iterator[Figure]:
    chance = random.Random(1)
    tree = make_tree(chance)
    documents = make_documents(SIZES[-1], tree, chance)
    answering = Access.compile(make_documents(SIZES[0], tree, chance), tree, [], NOW)
    ask = partial(answering.decide, user("u0"), ASKED[0], ROOT)
    work = partial(Access.compile, documents, tree, [], NOW)
    ask()
    gc.collect()
    seconds = statistics.median(timed(work) for _ in range(3))
    yield Figure(f"compile {SIZES[-1]:,} bindings", seconds, "s", limit=2, kind=Limit.AT_MOST)
    gc.collect()
    compiling = threading.Thread(target=work)
    compiling.start()
    longest = 0.0
    while compiling.is_alive():
        longest = max(longest, timed(ask))
    compiling.join()
    yield Figure("  the longest answer of the old rules meanwhile", longest * 1e3, "ms", limit=250, kind=Limit.AT_MOST)


def list_figures() -> Iterator[Figure]:
    chance = random.Random(2)
    tree = make_tree(chance)
    access = Access.compile(make_documents(SIZES[-1], tree, chance), tree, [], NOW)
    spaces = list(tree.spaces())
    stacks = [chance.choice(spaces) for _ in range(STACKS)]

    def visible(name: str) -> int:
        allowed = access.spaces_where(user(name), ASKED[0])
        return sum(space in allowed for space in stacks)

    visible("u0")
    gc.collect()
    times = sorted(timed(partial(visible, f"u{n}")) * 1e3 for n in range(100))
    what = f"what one person may see of {STACKS:,} stacks"
    yield Figure(what, statistics.median(times), "ms", limit=50, kind=Limit.AT_MOST)
    yield Figure("  the one of 100 persons it takes longest for", times[-1], "ms")


def signature_figures() -> Iterator[Figure]:
    key = Ed25519PrivateKey.generate()
    blob = _strings(b"ssh-ed25519", key.public_key().public_bytes_raw())
    ring = KeyRing.of([parse_signing_key(f"ssh-ed25519 {base64.b64encode(blob).decode()}")])
    commits = [b"tree %d\n" % number for number in range(COMMITS)]
    signed = [(_sign(key, blob, payload), payload) for payload in commits]
    verdicts: list[object] = []
    seconds = timed(lambda: verdicts.extend(verify_ssh(armored, payload, ring) for armored, payload in signed))
    if verdicts != [Signer(*ring.keys)] * COMMITS:
        raise RuntimeError("a good signature was not taken for one")
    yield Figure(f"check {COMMITS:,} SSH signatures", seconds, "s", limit=10, kind=Limit.AT_MOST)


def _sign(key: Ed25519PrivateKey, blob: bytes, payload: bytes) -> bytes:
    signed = b"SSHSIG" + _strings(b"git", b"", b"sha512", hashlib.sha512(payload).digest())
    signature = _strings(b"ssh-ed25519", key.sign(signed))
    envelope = b"SSHSIG" + (1).to_bytes(4) + _strings(blob, b"git", b"", b"sha512", signature)
    return b"-----BEGIN SSH SIGNATURE-----\n" + base64.encodebytes(envelope) + b"-----END SSH SIGNATURE-----\n"


def _strings(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4) + part for part in parts)


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure decisions at every size, spread and on one ancestor; compilation; the spaces for a list; signatures."""
    _ = scratch
    for skewed in (False, True):
        yield from decide_figures(skewed=skewed)
    yield from compile_figures()
    yield from list_figures()
    yield from signature_figures()


def main() -> None:
    print(HEADER)
    for figure in measure(Path()):
        print(figure.line(), flush=True)


if __name__ == "__main__":
    main()
