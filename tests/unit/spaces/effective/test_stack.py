import pytest

from spaces.effective.stack import ResolvedSource, When, effective
from spaces.model.configuration import HookPhase
from tests.unit.spaces.builders import begin, context, go_on, many, ref, repository, space, stack, stack_id

CONTEXTS = many(
    context("low", {"A": "low", "L": "1"}, hooks={"before": {"plan": ["low-b"]}, "after": {"plan": ["low-a"]}}),
    context(
        "high",
        {"A": "high"},
        files={"f.txt": "high"},
        hooks={"before": {"plan": ["high-b"]}, "after": {"plan": ["high-a"], "run": ["bye"]}},
    ),
)


def only(files, name="root/s"):
    in_force = begin(files)
    assert in_force.diagnostics == ()
    return effective(in_force.documents, stack_id(name))


def test_layers_override_by_priority_and_the_stack_wins():
    spec = {"env": {"B": "stack"}, "hooks": {"before": {"plan": ["s-b"]}, "after": {"plan": ["s-a"]}}}
    found = only(
        {
            "c.yaml": CONTEXTS,
            "s.yaml": stack("s", {"name": "high", "priority": 5}, "low", files={"f.txt": "own"}, **spec),
        }
    )
    assert {k: (v.value, str(v.origin.ref)) for k, v in found.env.items()} == {
        "A": ("high", "Context root/high"),
        "L": ("1", "Context root/low"),
        "B": ("stack", "Stack root/s"),
    }
    assert [str(o.ref) for o in found.env["A"].overrides] == ["Context root/low"]
    assert found.files["f.txt"].value == "own"
    assert [str(o.ref) for o in found.files["f.txt"].overrides] == ["Context root/high"]
    lines = {key: [h.command for h in line] for key, line in found.hooks.items()}
    assert lines == {
        (When.BEFORE, HookPhase.PLAN): ["low-b", "high-b", "s-b"],
        (When.AFTER, HookPhase.PLAN): ["s-a", "high-a", "low-a"],
        (When.AFTER, HookPhase.RUN): ["bye"],
    }
    assert [(used.ref, str(used)) for used in found.contexts] == [
        (ref("Context root/low"), "named, priority 0"),
        (ref("Context root/high"), "named, priority 5"),
    ]


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        pytest.param("s.yaml", {"path": "."}, ResolvedSource(None, None, ".", ()), id="the top"),
        pytest.param("a/b/s.yaml", {"path": "."}, ResolvedSource(None, None, "a/b", ()), id="beside the file"),
        pytest.param("a/s.yaml", {"path": "./net/"}, ResolvedSource(None, None, "a/net", ()), id="below the file"),
        pytest.param(
            "a/s.yaml",
            {"path": "net", "include": ["modules/**"]},
            ResolvedSource(None, None, "a/net", ("modules/**",)),
            id="include",
        ),
        pytest.param(
            "a/s.yaml",
            {"path": "live/net", "repository": "infra"},
            ResolvedSource(ref("Repository root/infra"), "stable", "live/net", ()),
            id="another repository, its branch",
        ),
        pytest.param(
            "a/s.yaml",
            {"path": ".", "repository": "root/infra", "branch": "next"},
            ResolvedSource(ref("Repository root/infra"), "next", ".", ()),
            id="another branch",
        ),
    ],
)
def test_source(file, source, expected):
    assert only({"r.yaml": repository("infra", branch="stable"), file: stack("s", source=source)}).source == expected


def test_a_script_needs_no_source():
    assert only({"s.yaml": stack("s", tool="script", script={"apply": "true"}, source=None)}) is not None


def test_an_unknown_stack():
    with pytest.raises(KeyError, match="root/gone"):
        effective(begin({}).documents, stack_id("root/gone"))


def test_the_nearest_context_of_a_name_counts():
    files = {"c.yaml": context("c", {"X": "far"}), "p/space.yaml": space("p"), "p/c.yaml": context("c", {"X": "near"})}
    found = only(files | {"p/s.yaml": stack("s", "c")}, "p/s")
    assert (found.env["X"].value, str(found.env["X"].origin.ref)) == ("near", "Context p/c")


ATTACHED = {
    "spaces.yaml": many(space("p"), space("q", "p"), space("alone", "q", inherit=False)),
    "root.yaml": many(
        context("z", {"A": "root z", "B": "root z"}, attach={}),
        context("y", {"A": "root y", "Y": "root y"}, attach={"matchLabels": {"tier": "web"}}),
        context("other", {"O": "1"}, attach={"matchLabels": {"tier": "web", "env": "prod"}}),
        context("by-name", {"A": "named", "N": "1"}, hooks={"before": {"init": ["named"]}, "after": {"init": ["named"]}}),
    ),
    "p.yaml": context(
        "a", {"A": "p a", "B": "p a"}, in_space="p", attach={}, hooks={"before": {"init": ["p a"]}, "after": {"init": ["p a"]}}
    ),
    "q.yaml": stack("s", "by-name", in_space="q", labels={"tier": "web"}, env={"N": "own"}),
    "alone.yaml": stack("s", in_space="alone", labels={"tier": "web"}),
}  # fmt: skip


def test_what_attaches_itself_lies_below_what_is_named_from_far_to_near_and_then_by_name():
    found = only(ATTACHED, "q/s")
    assert [(str(used.ref), str(used)) for used in found.contexts] == [
        ("Context root/y", "attached by labels tier=web"),
        ("Context root/z", "attached to every stack"),
        ("Context p/a", "attached to every stack"),
        ("Context root/by-name", "named, priority 0"),
    ]
    assert {k: (v.value, [str(o.ref) for o in v.overrides]) for k, v in found.env.items()} == {
        "A": ("named", ["Context p/a", "Context root/z", "Context root/y"]),
        "B": ("p a", ["Context root/z"]),
        "N": ("own", ["Context root/by-name"]),
        "Y": ("root y", []),
    }
    lines = {key: [hook.command for hook in line] for key, line in found.hooks.items()}
    assert lines == {
        (When.BEFORE, HookPhase.INIT): ["p a", "named"],
        (When.AFTER, HookPhase.INIT): ["named", "p a"],
    }


def _both_labels(context_name, value, **labels):
    return context(context_name, {"V": value}, attach={"matchLabels": labels} if labels else {})


@pytest.mark.parametrize(
    "changed",
    [
        {"c.yaml": many(_both_labels("one", "new", tier="web"), _both_labels("two", "2", tier="web"))},
        {"c.yaml": many(_both_labels("one", "1", tier="db"), _both_labels("two", "2", tier="web"))},
        {"c.yaml": many(_both_labels("one", "1"), _both_labels("two", "2", env="prod"))},
        {"c.yaml": many(context("one"), _both_labels("two", "2", tier="web"))},
        {"c.yaml": _both_labels("two", "2", tier="web"), "d.yaml": _both_labels("a", "a", env="prod")},
        {"c.yaml": None, "a.yaml": _both_labels("all", "new")},
        {"c.yaml": None, "a.yaml": None},
        {"a.yaml": context("all", attach={}, in_space="q"), "e.yaml": _both_labels("all", "again")},
    ],
)
def test_what_attaches_itself_after_a_change_is_the_same_as_from_the_start(changed):
    files = {
        "spaces.yaml": many(space("p"), space("q", "p")),
        "a.yaml": _both_labels("all", "all"),
        "c.yaml": many(_both_labels("one", "1", tier="web"), _both_labels("two", "2", tier="web")),
        "s.yaml": stack("s", in_space="q", labels={"tier": "web", "env": "prod"}),
    }
    before = begin(files)
    assert len(effective(before.documents, stack_id("q/s")).contexts) == 3
    after = go_on(before, changed)
    last = go_on(after, {path: files.get(path) for path in changed}, "r2")
    anew = begin({path: data for path, data in (files | changed).items() if data is not None})
    for known, fresh in ((after, anew), (last, begin(files)), (before, begin(files))):
        found, expected = (effective(each.documents, stack_id("q/s")) for each in (known, fresh))
        assert found.contexts == expected.contexts
        assert found.env == expected.env


def test_nothing_attaches_itself_where_it_does_not_flow():
    assert only(ATTACHED, "alone/s").contexts == ()


def test_one_that_is_named_too_counts_once_as_named():
    found = only(ATTACHED | {"q.yaml": stack("s", {"name": "p/a", "priority": 2}, in_space="q")}, "q/s")
    assert [(str(used.ref), str(used)) for used in found.contexts] == [
        ("Context root/z", "attached to every stack"),
        ("Context p/a", "named, priority 2"),
    ]
    assert found.env["A"].value == "p a"


def test_one_of_the_name_of_another_further_up_does_not_hide_it():
    files = {
        "far.yaml": context("c", {"X": "far", "F": "1"}, attach={}),
        "p/space.yaml": space("p"),
        "p/c.yaml": context("c", {"X": "near"}, attach={}),
        "p/s.yaml": stack("s"),
    }
    found = only(files, "p/s")
    assert {k: v.value for k, v in found.env.items()} == {"X": "near", "F": "1"}


def test_a_file_has_one_path_however_it_is_written():
    files = {"c.yaml": context("c", files={"./conf/./a": "low"}), "s.yaml": stack("s", "c", files={"conf/a": "own"})}
    found = only(files)
    assert {k: (v.value, len(v.overrides)) for k, v in found.files.items()} == {"conf/a": ("own", 1)}


def test_many_stacks_share_what_was_worked_out_once():
    in_force = begin(ATTACHED)
    known = {}
    for each in in_force.documents.stacks():
        assert effective(in_force.documents, each, known) == effective(in_force.documents, each)
    assert {str(each.ref) for each in known} == {
        "Context root/y",
        "Context root/z",
        "Context p/a",
        "Context root/by-name",
    }
