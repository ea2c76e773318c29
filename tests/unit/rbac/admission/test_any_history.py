"""Whatever is thrown at it: what is in force works together, and does not depend on the way it was reached."""

from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.effective.stack import effective
from spaces.in_force import affected
from spaces.names import Kind
from spaces.rules.rules import Rule, violations
from tests.unit.spaces.builders import (
    BROKEN,
    begin,
    context,
    everything,
    found_again,
    go_on,
    many,
    names,
    repository,
    space,
    stack,
)

DIRECTORIES = ["", "a/", "b/", "a/b/", "b/c/"]
SPACES = ["one", "two", "three"]
NAMES = ["x", "y"]

spaces = st.builds(
    lambda name, parent, inherit: space(name, parent, inherit=inherit),
    st.sampled_from(SPACES),
    st.sampled_from([None, None, "root", *SPACES]),
    st.booleans(),
)
contexts = st.builds(
    lambda name, key, where, spec: context(name, {key: "1"}, in_space=where, **spec),
    st.sampled_from(NAMES),
    st.sampled_from(["A", "B"]),
    st.sampled_from([None, None, "root", *SPACES]),
    st.fixed_dictionaries(
        {},
        optional={
            "attach": st.sampled_from([{}, {"matchLabels": {"t": "1"}}, {"matchLabels": {"t": "1", "u": "2"}}]),
            "files": st.sampled_from([{"a": "x"}, {"a/b": "y"}, {"a/./b/c": "z"}]),
        },
    ),
)
repositories = st.builds(repository, st.sampled_from(NAMES), st.sampled_from([None, "one"]))
stacks = st.builds(
    lambda name, used, where, origin, repo, labels: stack(
        name,
        *used,
        in_space=where,
        moved_from=origin,
        source={"path": "."} | ({"repository": repo} if repo else {}),
        labels=labels,
    ),
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(["x", "y", "root/x", "one/y"]), max_size=2, unique=True),
    st.sampled_from([None, None, None, "one", "two"]),
    st.sampled_from([None, None, "root/x", "one/x", "two/y"]),
    st.sampled_from([None, None, "x"]),
    st.sampled_from([None, None, {"t": "1"}, {"t": "1", "u": "2"}]),
)
paths = st.sampled_from([f"{d}{f}" for d in DIRECTORIES for f in ("space.yaml", "k.yaml", "m.yaml")])
bad = st.sampled_from([BROKEN, b"\xff\xfe", b"{{ template }}: ["])
contents = st.one_of(
    st.none(),
    spaces,
    contexts,
    stacks,
    repositories,
    bad,
    st.builds(many, stacks, contexts),
    st.builds(many, spaces, bad),
)
commits = st.lists(st.dictionaries(paths, contents, min_size=1, max_size=4), min_size=1, max_size=6)


def works_together(in_force):
    for kind in Kind:
        for placed in in_force.documents.of_kind(kind):
            # A stack may say for ever where it came from, and its old name be used again.
            found = [each for each in violations(in_force.documents, placed) if each.rule is not Rule.MOVED_FROM_EXISTS]
            assert found == []
    return {each: effective(in_force.documents, each) for each in in_force.documents.stacks()}


@settings(max_examples=40)
@given(commits)
def test_any_history(history):
    files: dict[str, bytes] = {}
    now = begin({})
    for count, changed in enumerate(history, 1):
        before, was = now, works_together(now)
        files = {path: data for path, data in (files | changed).items() if data is not None}
        now = go_on(before, changed, f"r{count}")

        # What is in force works, and a stack outside `affected` runs as it ran.
        effects = works_together(now)
        moved = affected(before, now)
        assert all(was.get(each) == effect for each, effect in effects.items() if each not in moved)

        # Nothing wrong: then the history does not matter, and nothing is held that the files do not lack.
        alone = begin(files)
        if not alone.diagnostics and not now.diagnostics:
            assert names(now) == names(alone)

        assert everything(found_again(now.admission, files)) == everything(now.admission)
        # Another look changes nothing. Its words may be others: a change is told of once, what it left behind for good.
        again = go_on(now, {}, "again")
        assert names(again) == names(now)


@settings(max_examples=50)
@given(st.lists(st.dictionaries(paths, st.one_of(st.none(), stacks, contexts), min_size=1, max_size=4), max_size=6))
def test_good_histories_end_where_a_fresh_start_does(history):
    files: dict[str, bytes] = {}
    now = begin({})
    for changed in history:
        files = {path: data for path, data in (files | changed).items() if data is not None}
        now = go_on(now, changed)
    alone = begin(files)
    if not alone.diagnostics:
        assert (names(now), now.diagnostics, now.held_changes) == (names(alone), (), ())


@settings(max_examples=40)
@given(commits)
def test_taking_everything_back_leaves_what_was_in_force(history):
    """A branch that goes back to what is in force leaves nothing held and changes nothing."""
    files: dict[str, bytes] = {}
    now = begin({})
    for changed in history:
        files = {path: data for path, data in (files | changed).items() if data is not None}
        now = go_on(now, changed)
    back = {path: file.force for path, file in now.held.files.items()}
    after = go_on(now, back)
    assert list(after.held) == []
    assert {str(r): after.documents.placed(r).resource.content for r in after.documents.refs()} == {
        str(r): now.documents.placed(r).resource.content for r in now.documents.refs()
    }
