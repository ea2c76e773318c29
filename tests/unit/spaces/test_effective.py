import pytest

from spaces.effective import ResolvedSource, When, effective
from spaces.model.configuration import Phase
from tests.unit.spaces.builders import begin, context, many, ref, repository, space, stack, stack_id

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
    return effective(in_force.catalog, stack_id(name))


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
        (When.BEFORE, Phase.PLAN): ["low-b", "high-b", "s-b"],
        (When.AFTER, Phase.PLAN): ["s-a", "high-a", "low-a"],
        (When.AFTER, Phase.RUN): ["bye"],
    }
    assert found.contexts == (ref("Context root/low"), ref("Context root/high"))


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
        effective(begin({}).catalog, stack_id("root/gone"))


def test_the_nearest_context_of_a_name_counts():
    files = {"c.yaml": context("c", {"X": "far"}), "p/space.yaml": space("p"), "p/c.yaml": context("c", {"X": "near"})}
    found = only(files | {"p/s.yaml": stack("s", "c")}, "p/s")
    assert (found.env["X"].value, str(found.env["X"].origin.ref)) == ("near", "Context p/c")
