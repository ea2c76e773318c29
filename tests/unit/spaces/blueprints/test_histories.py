"""Whatever is thrown at it: what is in force works together, and does not depend on the way it was reached."""

from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.effective.stack import effective
from spaces.in_force import affected
from spaces.names import Kind
from spaces.rules.rules import violations
from tests.unit.spaces.builders import (
    BROKEN,
    begin,
    blueprint,
    context,
    everything,
    found_again,
    go_on,
    instance,
    many,
    names,
    space,
    stack,
    template,
)

INPUTS = [{"name": "app", "default": "x"}, {"name": "n", "type": "number", "default": 1}]
spaces = st.builds(
    lambda name, parent, inherit: space(name, parent, inherit=inherit),
    st.sampled_from(["one", "two"]),
    st.sampled_from([None, "root", "one"]),
    st.booleans(),
)
where = st.sampled_from([None, None, "root", "one", "two"])
contexts = st.builds(lambda name, place: context(name, {"A": "1"}, in_space=place), st.sampled_from(["x", "y"]), where)
stacks = st.builds(
    lambda name, used, place: stack(name, *used, in_space=place),
    st.sampled_from(["x", "y"]),
    st.lists(st.sampled_from(["x", "y"]), max_size=1),
    where,
)
documents = st.one_of(
    st.builds(
        lambda name, used: template(name, *used, env={"N": "${{ string(1 / inputs.n) }}"}),
        st.sampled_from(["x", "${{ inputs.app }}"]),
        st.lists(st.sampled_from(["x", "y"]), max_size=1),
    ),
    st.builds(
        lambda name: template(name, kind="Context"), st.sampled_from(["y", "${{ inputs.app }}", "${{ context.name }}"])
    ),
    st.builds(
        lambda name: template("in", kind="BlueprintInstance", blueprint=name, version="1", inputs={"app": "y"}),
        st.sampled_from(["b", "c"]),
    ),
)
blueprints = st.builds(
    lambda name, docs, version, place: blueprint(name, *docs, version=version, inputs=INPUTS, in_space=place),
    st.sampled_from(["b", "c"]), st.lists(documents, min_size=1, max_size=2), st.sampled_from(["1", "1", "2"]), where,
)  # fmt: skip
instances = st.builds(
    lambda name, follows, version, place, app, n: instance(name, follows, version, in_space=place, app=app, n=n),
    st.sampled_from(["i", "j"]), st.sampled_from(["b", "c", "root/b"]), st.sampled_from(["1", "1", "2"]), where, st.sampled_from(["x", "y", "X"]), st.sampled_from([1, 1, 1, 0]),
)  # fmt: skip
paths = st.sampled_from([f"{d}{f}" for d in ("", "a/") for f in ("space.yaml", "k.yaml", "l.yaml", "m.yaml")])
contents = st.one_of(
    st.none(),
    spaces,
    contexts,
    stacks,
    blueprints,
    blueprints,
    instances,
    instances,
    st.just(BROKEN),
    st.builds(many, blueprints, instances),
    st.builds(many, instances, contexts),
)
commits = st.lists(st.dictionaries(paths, contents, min_size=1, max_size=4), min_size=1, max_size=6)


def works_together(in_force):
    for kind in Kind:
        for placed in in_force.documents.of_kind(kind):
            assert list(violations(in_force.documents, placed)) == []
    expansions = in_force.documents.expansions
    assert expansions.keys() == {
        each.ref for each in in_force.documents.of_kind(Kind.BLUEPRINT_INSTANCE) if each.resource.made is None
    }
    made = {each.ref for expansion in expansions.values() for each in expansion.documents}
    assert made == {ref for ref in in_force.documents.refs() if in_force.documents.written(ref) is None}
    assert all(
        in_force.documents.placed(each.ref) is each for expansion in expansions.values() for each in expansion.documents
    )
    return {each: effective(in_force.documents, each) for each in in_force.documents.stacks()}


def contents_of(in_force):
    return {str(ref): in_force.documents.placed(ref).resource.content for ref in in_force.documents.refs()}


@settings(max_examples=50)
@given(commits)
def test_any_history(history):
    files: dict[str, bytes] = {}
    now = begin({})
    for count, changed in enumerate(history, 1):
        before, was = now, works_together(now)
        files = {path: data for path, data in (files | changed).items() if data is not None}
        now = go_on(before, changed, f"r{count}")
        effects = works_together(now)
        moved = affected(before, now)
        assert all(was.get(each) == effect for each, effect in effects.items() if each not in moved)
        alone = begin(files)
        if not alone.diagnostics and not now.diagnostics:
            assert contents_of(now) == contents_of(alone)
        again = found_again(now.admission, files)
        works_together(again.in_force)
        assert everything(again) == everything(now.admission)
        assert names(go_on(now, {}, "again")) == names(now)
