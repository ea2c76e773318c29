"""Plays scenes in which people change more than they may, on a scratch repository, and checks what is held.

Every scene is a real signed commit that `station reconcile` judges.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from stage import STATION, Play, binding, document, stack


def ran(result: dict[str, Any]) -> list[str]:
    """Return the stacks that ran."""
    return sorted(run["stack"] for run in result["runs"])


def begin(play: Play) -> None:
    """Make the repository: ada is admin, bob writes in shop, mallory is admin of lab."""
    play.repository.mkdir()
    play.git("init", "--quiet", "--initial-branch=main")
    users = {
        f"people/{name}.yaml": document("User", name, signingKeys=[play.key(name)], emails=[f"{name}@example.com"])
        for name in ("ada", "bob", "mallory")
    }
    play.key("stranger")
    deep = {
        f"deep/d{depth}.yaml": document("Space", f"d{depth}", parent="root" if depth == 1 else f"d{depth - 1}")
        for depth in range(1, 16)
    }
    play.good = play.commit(
        "ada",
        "Begin",
        users
        | deep
        | {
            "platform/space.yaml": document("Space", "platform"),
            "platform/common.yaml": document("Context", "common", env={"LEVEL": "info"}),
            "shop/space.yaml": document("Space", "shop", parent="platform", inherit=True),
            "shop/devs.yaml": binding("devs", "writer", "shop", "bob"),
            "shop/web.yaml": stack("web"),
            "shop/db.yaml": stack("db"),
            "lab/space.yaml": document("Space", "lab"),
            "lab/admins.yaml": binding("admins", "admin", "lab", "mallory"),
            "lab/toy.yaml": stack("toy"),
            "lab/own.yaml": document("Context", "own", env={"SECRET": "no"}),
        },
    )
    play.reconcile()


def grants(play: Play) -> None:
    """Play grants, revocations, and bindings that give too much."""
    grant, use = (
        {"shop/mallory.yaml": binding("mallory", "writer", "shop", "mallory")},
        {"shop/web.yaml": stack("web", "id")},
    )
    play.scene(
        "somebody grants themselves a role and uses it in the same commit",
        lambda: play.commit("mallory", "Help myself", grant | use),
        ["create RoleBinding shop/mallory", "update Stack shop/web"],
        lambda result: ran(result) == [],
    )

    def granted_then_used() -> None:
        play.commit("ada", "Let mallory write", grant)
        play.commit("mallory", "Write", {"shop/web.yaml": stack("web", "uptime")})

    play.scene(
        "an admin grants, then the grantee uses it", granted_then_used, [], lambda result: ran(result) == ["shop/web"]
    )

    def revoked_then_used() -> None:
        play.commit("ada", "Bob leaves", {"shop/devs.yaml": None})
        play.commit("bob", "Still here", {"shop/web.yaml": stack("web", "date")})

    play.scene("a role is revoked, then used", revoked_then_used, ["update Stack shop/web"])

    def beyond() -> None:
        clerk = document("Role", "clerk", "root", actions=["roleBinding:*"])
        play.commit(
            "ada",
            "A clerk",
            {"people/clerk.yaml": clerk, "shop/clerk.yaml": binding("clerk", "clerk", "shop", "mallory")},
        )
        play.commit("mallory", "Take more", {"shop/more.yaml": binding("more", "admin", "shop", "mallory")})

    play.scene("a binding that gives more than its author holds", beyond, ["create RoleBinding shop/more"])


def identities(play: Play) -> None:
    """Play commits whose author lines, signatures or keys mislead."""
    change: dict[str, str | None] = {"shop/web.yaml": stack("web", "id")}
    held = ["update Stack shop/web"]
    as_mallory = "user:mallory"
    play.scene(
        "author and committer lines name ada, but mallory signed",
        lambda: play.commit("mallory", "From ada", change, claims="ada"),
        held,
        lambda result: result["held"][0]["person"] == as_mallory,
    )
    play.scene("an unsigned commit", lambda: play.commit(None, "Unsigned", change, claims="ada"), held)
    play.scene(
        "a commit signed with an unknown key", lambda: play.commit("stranger", "Hello", change, claims="bob"), held
    )

    def removed_key() -> None:
        lost = document("User", "bob", emails=["bob@example.com"])
        play.commit("ada", "Bob lost his key", {"people/bob.yaml": lost})
        play.commit("bob", "From the past", change, date="2020-01-01T00:00:00Z")

    play.scene("a removed key, with a date in the past", removed_key, held)

    def own_key() -> None:
        text = play.repository / "people" / "bob.yaml"
        key = (play.scratch / "stranger.pub").read_text(encoding="utf-8").strip()
        body = document("User", "bob", signingKeys=[key], emails=["bob@example.com"])
        play.commit("stranger", "My key", {str(text.relative_to(play.repository)): body} | change)

    play.scene(
        "a commit that adds the key it is signed with", own_key, ["update Stack shop/web", "update User root/bob"]
    )


def places(play: Play) -> None:
    """Play changes across spaces."""
    moved = document("Stack", "toy2", tool="script", script={"apply": "true"})
    moved = moved.replace('"toy2"}', '"toy2", "movedFrom": "shop/db"}')

    def move() -> None:
        play.commit("mallory", "Mine now", {"lab/toy2.yaml": moved, "shop/db.yaml": None})

    play.scene(
        "a stack moved with the right at only one end",
        move,
        ["move Stack lab/toy2"],
        lambda result: any(each["id"] == "shop/db" for each in result["stacks"]),
    )
    play.scene(
        "a writer changes a context, a binding and a role in the spaces above",
        lambda: play.commit(
            "bob",
            "Reach up",
            {
                "platform/common.yaml": document("Context", "common", env={"LEVEL": "debug"}),
                "platform/bob.yaml": binding("bob", "writer", "platform", "bob"),
                "people/role.yaml": document("Role", "boss", "root", actions=["*:*"]),
            },
        ),
        ["create Role root/boss", "create RoleBinding platform/bob", "update Context platform/common"],
    )
    for what, text in (
        ("inherit", document("Space", "lab", inherit=True)),
        ("parent", document("Space", "lab", parent="platform")),
        ("labels", document("Space", "lab").replace('"lab"}', '"lab", "labels": {"env": "prod"}}')),
    ):
        play.scene(
            f"a space's admin changes its {what}",
            lambda text=text: play.commit("mallory", "Elsewhere", {"lab/space.yaml": text}),  # type: ignore[misc]
            ["update Space lab/lab"],
        )

    def attach(space: str, context: str) -> str:
        play.go_back()
        play.commit("ada", "Attach", {f"{space}/extra.yaml": stack("extra", contexts=[context])})
        found = play.run(STATION, "validate", play.repository, "-o", "json", check=False)
        (told,) = json.loads(found.stdout)["diagnostics"]
        return f"{told['code']} {told['summary']} {told['hint']}".replace(context, "CONTEXT")

    same = attach("shop", "lab/own") == attach("shop", "lab/absent") and attach("lab", "platform/common") == attach(
        "lab", "platform/absent"
    )
    nothing = {"held": [], "halted": None}
    play.tell(
        "a context of a sibling space is reported like one that does not exist",
        nothing,
        right=same,
        expected="the same words",
    )
    answer = play.run(STATION, "access", "can", "ada", "stack:delete", "d15", "-o", "json", check=False)
    deep = json.loads(answer.stdout)
    play.tell("a role in root applies 15 spaces below", nothing, right=deep["allowed"], expected="allowed")


def rest(play: Play) -> None:
    """Play a mixed commit, odd names, a removed admin, and an approval."""
    play.scene(
        "a commit with a held change and an allowed one",
        lambda: play.commit(
            "bob", "Both", {"shop/web.yaml": stack("web", "whoami"), "lab/toy.yaml": stack("toy", "id")}
        ),
        ["update Stack lab/toy"],
        lambda result: ran(result) == ["shop/web"],
    )
    for name in ("two\nlines", "a,b", "*"):
        play.go_back()
        play.commit("ada", "Odd", {"people/odd.yaml": binding("odd", "admin", "root", name)})
        result = play.reconcile()
        refused = any(each["severity"] == "error" for each in result["diagnostics"])
        play.tell(f"the name {name!r} is refused", result, right=refused, expected="a diagnostic")
    play.scene(
        "somebody removes the last admin",
        lambda: play.commit("ada", "Leave", {"people/ada.yaml": None}),
        ["delete User root/ada"],
    )
    play.go_back()
    play.commit("mallory", "Please", {"shop/web.yaml": stack("web", "pwd")})
    (held,) = play.reconcile()["held"]
    said = play.run(STATION, "held", "approve", held["id"]).stdout
    result = play.reconcile()
    right = "is approved" in said and result["held"] == [] and ran(result) == ["shop/web"]
    play.tell("an approved change comes into force", result, right=right, expected="shop/web runs")


def halts(play: Play) -> None:
    """Play a rewound branch, and one that takes another way round."""
    play.go_back()
    play.reconcile()
    tip = play.git("rev-parse", "HEAD")
    play.git("reset", "--quiet", "--hard", f"{tip}~1")
    result = play.reconcile()
    play.tell("a rewound branch halts", result, right=bool(result["halted"]), expected="a halt")
    play.git("reset", "--quiet", "--hard", tip)
    result = play.reconcile()
    play.tell("the restored branch is followed again", result, right=not result["halted"], expected="no halt")
    play.git("reset", "--quiet", "--hard", f"{tip}~1")
    play.commit("mallory", "Aside", {"lab/toy.yaml": stack("toy", "id")})
    tree = play.git("rev-parse", "HEAD^{tree}")
    swapped = play.git("commit-tree", tree, "-p", "HEAD", "-p", tip, "-m", "The wrong way round", **_lines("mallory"))
    play.git("reset", "--quiet", "--hard", swapped)
    result = play.reconcile()
    right = not result["halted"] and {each["person"] for each in result["held"]} == {"unverified (Unsigned)"}
    play.tell("a merge with swapped parents is its merger's change", result, right=right, expected="all of it held")
    whole = play.run(STATION, "audit", "verify", check=False)
    play.tell("the audit log is intact", result, right=whole.returncode == 0, expected=whole.stderr)


def _lines(who: str) -> dict[str, str]:
    return {f"GIT_{line}_{part}": who for line in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


ACTS = (
    ("Nobody grants themselves anything", grants),
    ("The signer counts, by keys that were in force before the commit and are valid now", identities),
    ("A role applies to its space and everything below", places),
    ("The rest of a commit takes effect, and an approval ends a hold", rest),
    ("A branch that lost its history halts admission", halts),
)
"""The scenes by subject, each under the heading that is printed."""


def main() -> int:
    """Play everything; return 1 if a scene ended differently than expected."""
    scratch = Path(tempfile.mkdtemp(prefix="station-access-"))
    play = Play(scratch)
    try:
        begin(play)
        for title, act in ACTS:
            print(f"\n{title}")
            act(play)
    finally:
        if "--keep" in sys.argv[1:]:
            print(f"\nkept: {scratch}")
        else:
            shutil.rmtree(scratch)
    print(
        f"\n{len(play.failures)} scenes ended differently than expected"
        if play.failures
        else "\nall scenes ended as expected"
    )
    return 1 if play.failures else 0


if __name__ == "__main__":
    sys.exit(main())
