import pytest

from spaces.in_force import affected, differing
from tests.unit.spaces.builders import (
    BROKEN,
    begin,
    codes,
    context,
    doc,
    go_on,
    kept,
    many,
    names,
    ref,
    repository,
    space,
    stack,
    stack_id,
)

BASE = {
    "c.yaml": context("common", {"A": "1"}),
    "r.yaml": repository("infra"),
    "p/space.yaml": space("prod"),
    "p/net.yaml": stack("net", "common", source={"repository": "infra", "path": "net"}),
    "p/q/space.yaml": space("eu"),
    "p/q/app.yaml": stack("app", "common"),
    "t/space.yaml": space("team", inherit=False),
    "t/web.yaml": stack("web"),
}
ALL = {
    "Context root/common", "Repository root/infra", "Space prod", "Stack prod/net", "Space eu", "Stack eu/app",
    "Space team", "Stack team/web",
}  # fmt: skip


def test_everything_good_is_in_force():
    state = begin(BASE)
    assert names(state) == ALL
    assert (state.held_changes, state.in_force.diagnostics) == ((), ())


GARBAGE = {
    "a merge conflict": b"<<<<<<< HEAD\nspec: {a: 1}\n=======\nspec: [\n>>>>>>> other\n",
    "a template": b"{{- if .Values.on }}\nkind: Stack\n{{- end }}\n",
    "UTF-16": stack("net").decode().encode("utf-16"),
    "UTF-16 without its mark": stack("net").decode().encode("utf-16-le"),
    "brackets": b"[" * 200_000,
    "bytes": bytes(range(256)),
}

# Each case: what changes, what is gone from force, what is new in force, what is kept and why, the errors' codes.
CASES = [
    pytest.param({"p/net.yaml": None}, {"Stack prod/net"}, set(), {}, [], id="a deleted stack leaves"),
    pytest.param({"p/new.yaml": stack("new")}, set(), {"Stack prod/new"}, {}, [], id="a new one comes"),
    pytest.param(
        {"p/net.yaml": BROKEN}, set(), set(), {"Stack prod/net": "broken"}, ["yaml-syntax"], id="a broken file is not a deletion"
    ),
    pytest.param(
        {"p/net.yaml": many(BROKEN, stack("two"))},
        set(),
        {"Stack prod/two"},
        {"Stack prod/net": "broken"},
        ["yaml-syntax"],
        id="not even beside new text",
    ),
    pytest.param(
        {"p/net.yaml": many(stack("net", tool="terrform"), stack("two"))},
        set(),
        {"Stack prod/two"},
        {"Stack prod/net": "broken"},
        ["invalid-value"],
        id="a bad document beside a good one",
    ),
    pytest.param(
        {"p/net.yaml": stack("net", "comon")},
        set(),
        set(),
        {"Stack prod/net": "broken"},
        ["unknown-context"],
        id="unknown context",
    ),
    pytest.param(
        {"p/new.yaml": stack("new", "gone")}, set(), set(), {}, ["unknown-context"], id="a new stack with an unknown context"
    ),
    pytest.param(
        {"t/web.yaml": stack("web", "common")},
        set(),
        set(),
        {"Stack team/web": "broken"},
        ["unknown-context"],
        id="what does not flow does not exist",
    ),
    pytest.param(
        {"p/net.yaml": stack("net", source={"repository": "gone", "path": "x"})},
        set(),
        set(),
        {"Stack prod/net": "broken"},
        ["unknown-repository"],
        id="unknown repository",
    ),
    pytest.param(
        {"p/net.yaml": stack("net", in_space="gone")},
        set(),
        set(),
        {"Stack prod/net": "broken"},
        ["unknown-space"],
        id="a mistyped space deletes nothing",
    ),
    pytest.param(
        {"p/net.yaml": stack("net", in_space="gone", moved_from="prod/net")},
        set(),
        set(),
        {"Stack prod/net": "broken"},
        ["unknown-space"],
        id="a move that does not work stays at home",
    ),
    pytest.param(
        {"p/net.yaml": stack("core", "gone")},
        set(),
        set(),
        {"Stack prod/net": "broken"},
        ["unknown-context"],
        id="another name in the file, that does not work",
    ),
    pytest.param(
        {"p/net.yaml": None, "t/n.yaml": stack("net", "common")},
        set(),
        set(),
        {"Stack prod/net": "broken"},
        ["unknown-context", "kept-in-force"],
        id="the name in another space, where it does not work",
    ),
    pytest.param(
        {"c.yaml": None}, set(), set(), {"Context root/common": "in-use"}, ["still-in-use"], id="a context in use cannot leave"
    ),
    pytest.param(
        {"r.yaml": None}, set(), set(), {"Repository root/infra": "in-use"}, ["still-in-use"], id="a repository in use"
    ),
    pytest.param(
        {"c.yaml": None, "p/net.yaml": stack("net"), "p/q/app.yaml": None, "r.yaml": None},
        {"Context root/common", "Stack eu/app", "Repository root/infra"},
        set(),
        {},
        [],
        id="what nobody uses any more can leave",
    ),
    pytest.param(
        {"c.yaml": None, "p/net.yaml": BROKEN, "p/q/app.yaml": stack("app")},
        set(),
        set(),
        {"Stack prod/net": "broken", "Context root/common": "broken"},
        ["yaml-syntax", "kept-in-force"],
        id="what went missing as a file broke may be in it",
    ),
    pytest.param(
        {"p/space.yaml": BROKEN}, set(), set(), {"Space prod": "broken"}, ["yaml-syntax"], id="a broken space file moves nothing"
    ),
    pytest.param(
        {"p/space.yaml": None}, set(), set(), {"Space prod": "in-use"}, ["still-in-use"], id="a space that holds things"
    ),
    pytest.param(
        {"p/space.yaml": None, "p/net.yaml": None, "p/q/space.yaml": space("eu", "root")},
        {"Space prod", "Stack prod/net"},
        set(),
        {},
        [],
        id="an empty space can leave",
    ),
    pytest.param(
        {"p/space.yaml": None, "p/net.yaml": None},
        {"Stack prod/net"},
        set(),
        {"Space prod": "in-use"},
        ["still-in-use"],
        id="a space below holds it",
    ),
    pytest.param(
        {"p/space.yaml": space("prod", inherit=False)},
        set(),
        set(),
        {"Space prod": "in-use"},
        ["still-in-use"],
        id="goods in use go on flowing",
    ),
    pytest.param(
        {"p/space.yaml": space("prod", "nowhere")},
        set(),
        set(),
        {"Space prod": "broken"},
        ["unknown-space"],
        id="unknown parent",
    ),
    pytest.param(
        {"p/space.yaml": space("prod", "eu")},
        set(),
        set(),
        {"Space prod": "broken"},
        ["space-cycle"],
        id="below itself",
    ),
    pytest.param(
        {"p/space.yaml": space("live")},
        {"Space prod", "Stack prod/net"},
        {"Space live", "Stack live/net"},
        {},
        [],
        id="a renamed space takes its directory along",
    ),
    pytest.param(
        {"p/space.yaml": space("live", "nowhere")},
        set(),
        set(),
        {"Space prod": "broken"},
        ["unknown-space"],
        id="a rename that does not work renames nothing",
    ),
    pytest.param(
        {"p/net2.yaml": stack("net")},
        set(),
        set(),
        {},
        ["duplicate-name"],
        id="two of one name",
    ),
    pytest.param(
        {"p/space.yaml": None, "p/net.yaml": None, "p/q/space.yaml": None, "p/q/app.yaml": None,
         "l/space.yaml": space("prod"), "l/net.yaml": BASE["p/net.yaml"], "l/q/space.yaml": space("eu"),
         "l/q/app.yaml": BASE["p/q/app.yaml"]},
        set(),
        set(),
        {},
        [],
        id="a renamed directory changes no name",
    ),
    pytest.param(
        {"p/space.yaml": None, "p/net.yaml": None, "p/q/space.yaml": None, "p/q/app.yaml": None,
         "l/space.yaml": BROKEN, "l/net.yaml": BASE["p/net.yaml"], "l/q/space.yaml": space("eu"),
         "l/q/app.yaml": BASE["p/q/app.yaml"]},
        set(),
        set(),
        {"Space prod": "broken", "Space eu": "broken", "Stack prod/net": "broken", "Stack eu/app": "broken"},
        ["kept-in-force"] * 4 + ["yaml-syntax"] + ["space-not-known"] * 3,
        id="a directory renamed with a broken space file",
    ),
    pytest.param(
        {"p/net.yaml": stack("core", "common", moved_from="prod/net")},
        {"Stack prod/net"},
        {"Stack prod/core"},
        {},
        [],
        id="a rename",
    ),
    pytest.param(
        {"p/core.yaml": stack("core", moved_from="prod/net")},
        set(),
        set(),
        {},
        ["moved-from-exists"],
        id="moved from what still exists",
    ),
    pytest.param(
        {"p/net.yaml": many(stack("one", moved_from="prod/net"), stack("two", moved_from="prod/net"))},
        set(),
        set(),
        {"Stack prod/net": "broken"},
        ["moved-from-twice", "moved-from-twice"],
        id="two moved from one",
    ),
    pytest.param(
        {"c2.yaml": context("more", {"A": "2"}), "p/net.yaml": stack("net", "common", "more")},
        set(),
        {"Context root/more"},
        {"Stack prod/net": "broken"},
        ["context-tie"],
        id="contexts that tie",
    ),
    pytest.param(
        {"p/bad.yaml": doc("WorkerPool", "guard", {}), "p/net.yaml": None},
        {"Stack prod/net"},
        set(),
        {},
        ["missing-key"],
        id="a broken document of another kind hides no stack",
    ),
    *(
        pytest.param(
            {"p/net.yaml": data}, set(), set(), {"Stack prod/net": "broken"}, ["unreadable-file"], id=f"a file turned into {what}"
        )
        for what, data in GARBAGE.items()
    ),
    pytest.param(
        {"p/space.yaml": GARBAGE["UTF-16"]},
        set(),
        set(),
        {"Space prod": "broken"},
        ["unreadable-file"],
        id="a space file that cannot be decoded moves nothing",
    ),
    pytest.param(
        {"p/space.yaml": GARBAGE["UTF-16"], "p/net.yaml": GARBAGE["a merge conflict"], "p/q/app.yaml": None, "c.yaml": None},
        {"Stack eu/app"},
        set(),
        {"Space prod": "broken", "Stack prod/net": "broken", "Context root/common": "in-use"},
        ["still-in-use", "unreadable-file", "unreadable-file"],
        id="unreadable files hold up no deletion elsewhere",
    ),
    pytest.param(
        {"chart/t.yaml": GARBAGE["a template"], "p/net.yaml": None},
        {"Stack prod/net"},
        set(),
        {},
        [],
        id="templates of other tools are nobody's business",
    ),
    pytest.param(
        {"p/net.yaml": many(stack("two"), GARBAGE["a template"])},
        set(),
        {"Stack prod/two"},
        {"Stack prod/net": "broken"},
        ["unreadable-file"],
        id="a document that turned into garbage beside a good one",
    ),
    pytest.param(
        {"p/net.yaml": many(stack("two"), stack("net").replace(b"apiVersion", b"apiversion"))},
        set(),
        {"Stack prod/two"},
        {"Stack prod/net": "broken"},
        ["api-version"],
        id="a mistyped apiVersion key",
    ),
    pytest.param(
        {"p/net.yaml": many(stack("two"), b"{kind: Stack, metadata: {name: net}}\n")},
        set(),
        {"Stack prod/two"},
        {"Stack prod/net": "broken"},
        ["api-version"],
        id="a missing apiVersion beside a good document",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "gone", "new", "stays", "told"), CASES)
def test_what_comes_into_force(changed, gone, new, stays, told):
    before = begin(BASE)
    after = go_on(before, changed)
    assert names(after) == (ALL - gone) | new
    assert set(kept(after)) == set(stays)
    assert {entry.at for entry in after.held} <= {"r0", None}
    assert sorted(codes(after)) == sorted(told)


@pytest.mark.parametrize(("changed", "gone", "new", "stays", "told"), CASES)
def test_nothing_changes_without_a_change(changed, gone, new, stays, told):
    after = go_on(begin(BASE), changed)
    again = go_on(after, {}, "r2")
    assert names(again) == names(after)
    assert [entry.to_record() for entry in again.held] == [entry.to_record() for entry in after.held]
    assert again.in_force.diagnostics == after.in_force.diagnostics or "documents-left" in codes(after)
    assert differing(after.in_force, again.in_force) == frozenset()


@pytest.mark.parametrize(("changed", "gone", "new", "stays", "told"), CASES)
def test_taking_a_change_back_leaves_no_trace(changed, gone, new, stays, told):
    back = {path: BASE.get(path) for path in changed}
    after = go_on(go_on(begin(BASE), changed), back, "r2")
    assert names(after) == ALL
    assert (list(after.held), after.in_force.diagnostics) == ([], ())


def test_what_waits_for_a_broken_file_leaves_when_it_is_repaired():
    broken = go_on(begin(BASE), {"p/q/app.yaml": BROKEN, "t/web.yaml": None})
    assert set(kept(broken)) == {"Stack eu/app", "Stack team/web"}
    still = go_on(broken, {"c2.yaml": context("other")}, "r2")
    assert "Stack team/web" in names(still)
    repaired = go_on(still, {"p/q/app.yaml": stack("app")}, "r3")
    assert names(repaired) == (ALL | {"Context root/other"}) - {"Stack team/web"}
    assert kept(repaired) == {}


def test_a_later_deletion_does_not_wait_for_an_old_broken_file():
    broken = go_on(begin(BASE), {"p/q/app.yaml": BROKEN})
    assert "Stack team/web" not in names(go_on(broken, {"t/web.yaml": None}, "r2"))


def test_a_deleted_broken_file_is_a_deletion():
    broken = go_on(begin(BASE), {"p/q/app.yaml": BROKEN})
    gone = go_on(broken, {"p/q/app.yaml": None}, "r2")
    assert names(gone) == ALL - {"Stack eu/app"}


def test_an_unreadable_file_says_why_and_what_stays():
    files = {"a.yaml": many(stack("one"), stack("two"))}
    after = go_on(begin(files), {"a.yaml": GARBAGE["a merge conflict"]})
    told = after.in_force.diagnostics[0]
    assert told.severity == "error"
    assert told.summary.startswith("a.yaml cannot be read as YAML any more (not valid YAML:")
    assert told.summary.endswith("); its 2 documents stay as they were")
    assert told.position.file == "a.yaml"
    still = go_on(after, {"b.yaml": stack("three")}, "r2")
    assert names(still) == {"Stack root/one", "Stack root/two", "Stack root/three"}
    assert names(go_on(still, {"a.yaml": None}, "r3")) == {"Stack root/three"}


@pytest.mark.parametrize(
    ("left", "told"),
    [
        pytest.param(
            {"p/net.yaml": b""}, "p/net.yaml holds no document any more, so these leave: Stack prod/net", id="empty"
        ),
        pytest.param(
            {"p/net.yaml": stack("net").replace(b"apiVersion", b"version").replace(b"stationkeeper/", b"")},
            "p/net.yaml holds no document any more, so these leave: Stack prod/net",
            id="without its apiVersion",
        ),
        pytest.param({"p/net.yaml": b"", "p/other.yaml": BASE["p/net.yaml"]}, None, id="moved to another file"),
        pytest.param({"p/net.yaml": b"", "p/n.yaml": stack("core", moved_from="prod/net")}, None, id="renamed"),
        pytest.param({"p/net.yaml": None}, None, id="deleted"),
    ],
)
def test_what_leaves_with_an_emptied_file_is_told(left, told):
    after = go_on(begin(BASE), left)
    assert ("Stack prod/net" in names(after)) == ("p/other.yaml" in left)
    assert [(d.severity, d.code, d.summary) for d in after.in_force.diagnostics] == (
        [("warning", "documents-left", told)] if told else []
    )


def test_a_new_broken_document_has_not_left():
    pending = go_on(begin(BASE), {"p/new.yaml": stack("new", "gone")})
    assert [(str(each.ref), each.missing) for each in pending.held_changes] == [("Stack prod/new", None)]
    good = go_on(pending, {"p/g.yaml": context("gone")}, "r2")
    assert "Stack prod/new" in names(good)
    assert good.held_changes == ()


def test_the_kept_version_is_the_old_one():
    after = go_on(go_on(begin(BASE), {"p/net.yaml": stack("net", env={"X": "good"})}), {"p/net.yaml": BROKEN}, "r2")
    placed = after.in_force.documents.placed(ref("Stack prod/net"))
    (entry,) = [each for each in after.held if each.at is not None]
    assert (placed.resource.spec.env, entry.at) == ({"X": "good"}, "r1")


def test_blame_names_the_first_user_and_counts_the_others():
    told = go_on(begin(BASE), {"c.yaml": None}).in_force.diagnostics
    assert [d.summary for d in told] == ["Context root/common cannot leave: Stack eu/app and 1 more still need it"]
    assert told[0].position.file == "p/q/app.yaml"


def test_a_new_context_that_would_break_a_stack_stays_out():
    files = BASE | {"c2.yaml": context("more", {"B": "1"}), "p/net.yaml": stack("net", "common", "more")}
    before = begin(files)
    after = go_on(before, {"p/c.yaml": context("more", {"A": "2"})})
    assert names(after) == names(before)
    assert [str(each.ref) for each in after.held_changes] == ["Context prod/more"]
    assert [(d.code, d.position.file) for d in after.in_force.diagnostics] == [("context-tie", "p/c.yaml")]


@pytest.mark.parametrize(
    ("changed", "stacks"),
    [
        pytest.param({"p/net.yaml": stack("net", "common")}, {"prod/net"}, id="its own document"),
        pytest.param({"p/new.yaml": stack("new")}, {"prod/new"}, id="a new one"),
        pytest.param({"c.yaml": context("common", {"A": "2"})}, {"prod/net", "eu/app"}, id="a context"),
        pytest.param({"p/c.yaml": context("common")}, {"prod/net", "eu/app"}, id="a nearer context of the name"),
        pytest.param({"r.yaml": repository("infra", branch="next")}, {"prod/net"}, id="a repository"),
        pytest.param({"p/q/space.yaml": space("eu", "root")}, {"eu/app"}, id="another parent"),
        pytest.param({"t/space.yaml": space("team")}, {"team/web"}, id="inheritance"),
        pytest.param({"t/web.yaml": b"# why\n" + BASE["t/web.yaml"]}, set(), id="a comment"),
        pytest.param({"x.yaml": context("other")}, set(), id="what nobody names"),
        pytest.param({"t/web.yaml": None}, set(), id="a deletion"),
        pytest.param({"main.tf": b"x"}, set(), id="another file"),
    ],
)
def test_affected(changed, stacks):
    before = begin(BASE)
    after = go_on(before, changed)
    assert affected(before.in_force, after.in_force) == {stack_id(text) for text in stacks}
    far = go_on(after, {}, "r2")
    assert affected(before.in_force, far.in_force) == {stack_id(text) for text in stacks}, (
        "over more than one revision too"
    )
    assert affected(None, after.in_force) == set(after.in_force.documents.stacks())


def test_blame_reaches_over_moved_directories():
    """A stack whose space goes away with its directory, while another document names that space itself."""
    files = {"a/space.yaml": space("a"), "a/s.yaml": stack("s"), "far.yaml": stack("far", in_space="a")}
    after = go_on(begin(files), {"a/space.yaml": None, "a/s.yaml": None})
    assert names(after) == {"Space a", "Stack a/far"}
    assert [d.summary for d in after.in_force.diagnostics] == ["Space a cannot leave: Stack a/far still needs it"]


def test_an_empty_repository_of_nothing():
    assert names(begin({})) == set()


@pytest.mark.parametrize(
    ("count", "named"),
    [(1, "Stack s0 still takes"), (2, "Stack s0, Stack s1 still take"), (7, "Stack s4 and 2 more still take")],
)
def test_a_space_that_cannot_leave_names_what_still_lies_in_its_directory(count, named):
    files = {"a/space.yaml": space("a")} | {f"a/s{index}.yaml": stack(f"s{index}") for index in range(count)}
    after = go_on(begin(files), {"a/space.yaml": None})
    (told,) = after.in_force.diagnostics
    assert f"{named} it from its directory" in told.summary


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        pytest.param(
            context("late").replace(b'"env"', b'"envv"'),
            ("needs-broken", "Stack root/s needs Context late, which has an error", "repair it at late.yaml:1:94"),
            id="a document",
        ),
        pytest.param(
            BROKEN,
            (
                "unknown-context",
                "Stack root/s needs Context late, which does not exist; it may be in late.yaml, which cannot be read",
                "it must be in root, or in a space that root inherits from",
            ),
            id="a file",
        ),
    ],
)
def test_who_needs_what_an_earlier_commit_broke_is_told_where(broken, told):
    before = go_on(begin(BASE), {"late.yaml": broken})
    after = go_on(before, {"s.yaml": stack("s", "late")}, "r2")
    (found,) = (each for each in after.in_force.diagnostics if each.position.file == "s.yaml")
    assert (found.code, found.summary, found.hint) == told
    assert "Stack root/s" in names(go_on(after, {"late.yaml": context("late")}, "r3"))
