"""What instances make takes part in everything: what is in force, what goes back, who is told."""

import pytest

from spaces.documents.changes import changes
from spaces.effective.stack import effective
from spaces.in_force import affected, differing
from tests.unit.spaces.builders import (
    BROKEN,
    begin,
    blueprint,
    context,
    everything,
    found_again,
    go_on,
    instance,
    kept,
    many,
    names,
    ref,
    space,
    stack,
    stack_id,
    template,
)

INPUTS = [
    {"name": "app", "required": True, "pattern": "[a-z]+", "max": 10},
    {"name": "size", "type": "select", "options": ["s", "m", "l"], "default": "s"},
    {"name": "n", "type": "number", "default": 2, "min": 0, "max": 9},
]
WEB = template(
    "${{ inputs.app }}-web", "common", env={"SIZE": "${{ inputs.size }}", "N": "${{ string(10 / inputs.n) }}"}
)
SHARED = template("${{ context.name }}-shared", kind="Context", env={"APP": "${{ inputs.app }}"})
ONE = blueprint("web", WEB, SHARED, inputs=INPUTS)
BASE = {
    "p/space.yaml": space("platform"),
    "p/c.yaml": context("common", {"LEVEL": "info"}),
    "p/web.yaml": ONE,
    "p/t/space.yaml": space("team"),
    "p/t/shop.yaml": instance("shop", "web", app="shop"),
    "o/space.yaml": space("other", inherit=False),
}
MADE = {"Stack team/shop-web", "Context team/shop-shared"}
ALL = {
    "Space platform",
    "Space team",
    "Space other",
    "Context platform/common",
    "Blueprint platform/web@1",
    "BlueprintInstance team/shop",
} | MADE
TWO = blueprint(
    "web", template("${{ inputs.app }}-web", env={"SIZE": "${{ inputs.size }}!"}), version="2", inputs=INPUTS
)


def nested(name, follows, called="${{ context.name }}-in"):
    return blueprint(
        name,
        template(called, kind="BlueprintInstance", blueprint=follows, version="1", inputs={"app": "${{ inputs.app }}"}),
        inputs=INPUTS,
    )


CASES = [
    pytest.param({}, set(), set(), {}, [], id="made"),
    pytest.param({"p/t/shop.yaml": instance("shop", "web", app="mart")}, {"Stack team/shop-web"}, {"Stack team/mart-web"}, {}, [], id="another input"),
    pytest.param({"p/t/b.yaml": instance("b", "platform/web", app="b")}, set(), {"BlueprintInstance team/b", "Stack team/b-web", "Context team/b-shared"}, {}, [], id="a second instance"),
    pytest.param({"p/two.yaml": TWO, "p/t/b.yaml": instance("b", "web", "2", app="b")}, set(), {"Blueprint platform/web@2", "BlueprintInstance team/b", "Stack team/b-web"}, {}, [], id="two versions side by side"),
    pytest.param({"p/two.yaml": TWO, "p/t/shop.yaml": instance("shop", "web", "2", app="shop")}, {"Context team/shop-shared"}, {"Blueprint platform/web@2"}, {}, [], id="the next version"),
    pytest.param({"p/t/shop.yaml": None}, MADE | {"BlueprintInstance team/shop"}, set(), {}, [], id="what was made leaves with its instance"),
    pytest.param({"p/t/shop.yaml": instance("shop", "web", "2", app="shop")}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["unknown-version"], id="unknown version"),
    pytest.param({"p/t/shop.yaml": instance("shop", "wob", app="shop")}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["unknown-blueprint"], id="unknown blueprint"),
    pytest.param({"o/i.yaml": instance("i", "platform/web", app="i")}, set(), set(), {}, ["unknown-blueprint"], id="what does not flow does not exist"),
    pytest.param({"p/t/shop.yaml": instance("shop", "web", app="Shop", size="x", n=10, m=1)}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["invalid-input", "invalid-input", "invalid-input", "unknown-input"], id="all inputs at once"),
    pytest.param({"p/t/shop.yaml": instance("shop", "web", app="a" * 11)}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["invalid-input"], id="too long"),
    pytest.param({"p/t/shop.yaml": instance("shop", "web", app=1)}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["invalid-input"], id="no text"),
    pytest.param({"p/t/shop.yaml": instance("shop", "web", app="a", n="1")}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["invalid-input"], id="no number"),
    pytest.param({"p/t/shop.yaml": instance("shop", "web", app="a", n=2**70)}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["invalid-input"], id="out of range"),
    pytest.param({"p/t/shop.yaml": instance("shop", "web")}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["missing-input"], id="missing input"),
    pytest.param({"p/t/shop.yaml": instance("shop", "web", app="shop", n=0)}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["expression-failed"], id="division by zero"),
    pytest.param({"p/web.yaml": None}, set(), set(), {"Blueprint platform/web@1": "in-use"}, ["still-in-use"], id="a blueprint that is used cannot leave"),
    pytest.param({"p/web.yaml": BROKEN}, set(), set(), {"Blueprint platform/web@1": "broken"}, ["yaml-syntax"], id="a broken blueprint stays as it was"),
    pytest.param({"p/web.yaml": blueprint("web", template("x", "gone"), inputs=INPUTS)}, set(), set(), {"Blueprint platform/web@1": "in-use"}, ["still-in-use"], id="a blueprint that would make what does not work"),
    pytest.param({"p/web.yaml": blueprint("web", template("${{ inputs.app }}", env={"A": "${{ inputs.app }}"}), inputs=[{"name": "app", "required": True}, {"name": "more", "required": True}])}, set(), set(), {"Blueprint platform/web@1": "in-use"}, ["still-in-use"], id="one that asks for more"),
    pytest.param({"p/web.yaml": many(ONE, ONE)}, set(), set(), {}, ["duplicate-name"], id="one version twice"),
    pytest.param({"p/c.yaml": None}, set(), set(), {"Context platform/common": "in-use"}, ["still-in-use"], id="what a made stack needs cannot leave"),
    pytest.param({"p/t/s.yaml": stack("shop-web")}, set(), set(), {}, ["made-by-instance"], id="what is made cannot be written beside"),
    pytest.param({"p/t/b.yaml": instance("b", "web", app="shop")}, set(), set(), {}, ["duplicate-name"], id="made twice"),
    pytest.param({"p/t/shop.yaml": None, "p/t/s.yaml": stack("shop-web")}, {"Context team/shop-shared", "BlueprintInstance team/shop"}, set(), {}, [], id="written instead of made"),
    pytest.param({"p/t/u.yaml": stack("user", "shop-shared")}, set(), {"Stack team/user"}, {}, [], id="a made context is a context"),
    pytest.param({"p/web.yaml": nested("web", "db"), "p/db.yaml": blueprint("db", WEB, inputs=INPUTS)}, {"Context team/shop-shared"}, {"Blueprint platform/db@1", "BlueprintInstance team/shop-in"}, {}, [], id="an instance that an instance makes"),
    pytest.param({"p/web.yaml": nested("web", "db")}, set(), set(), {"Blueprint platform/web@1": "in-use"}, ["still-in-use"], id="one of nothing"),
    pytest.param({"p/web.yaml": nested("web", "db"), "p/db.yaml": nested("db", "web")}, set(), set(), {"Blueprint platform/web@1": "in-use"}, ["blueprint-cycle", "still-in-use"], id="without end"),
    pytest.param({"p/web.yaml": blueprint("web", template("x", metadata={"space": "${{ inputs.app }}"}), inputs=INPUTS)}, set(), set(), {"Blueprint platform/web@1": "in-use"}, ["still-in-use"], id="another space"),
    pytest.param({"p/web.yaml": blueprint("web", template("${{ inputs.app }}"), template("${{ context.name }}"), inputs=INPUTS)}, set(), set(), {"Blueprint platform/web@1": "in-use"}, ["still-in-use"], id="one name twice"),
    pytest.param({"p/t/shop.yaml": BROKEN}, set(), set(), {"BlueprintInstance team/shop": "broken"}, ["yaml-syntax"], id="a broken instance"),
    pytest.param({"p/t/space.yaml": space("team", inherit=False)}, set(), set(), {"Space team": "in-use"}, ["still-in-use"], id="a blueprint that would not flow any more"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "gone", "new", "stays", "told"), CASES)
def test_what_comes_into_force(changed, gone, new, stays, told):
    before = begin(BASE)
    assert (names(before), before.diagnostics) == (ALL, ())
    after = go_on(before, changed)
    assert names(after) == (ALL - gone) | new
    assert set(kept(after)) == set(stays)
    # `still-in-use` is told once for each that stays.
    found = sorted(d.code for d in after.diagnostics)
    assert [code for code in found if code in told] == found
    assert set(found) == set(told)
    if told != ["still-in-use"]:
        assert found == told


@pytest.mark.parametrize(("changed", "gone", "new", "stays", "told"), CASES)
def test_a_restart_and_a_second_look_change_nothing(changed, gone, new, stays, told):
    after = go_on(begin(BASE), changed)
    files = {path: data for path, data in (BASE | changed).items() if data is not None}
    assert names(go_on(after, {}, "again")) == names(after)
    assert everything(found_again(after.admission, files)) == everything(after.admission)
    if not after.diagnostics:
        assert {each: placed_content(after, each) for each in after.documents.refs()} == {
            each: placed_content(begin(files), each) for each in begin(files).documents.refs()
        }


def placed_content(in_force, each):
    return in_force.documents.placed(each).resource.content


@pytest.mark.parametrize(("changed", "gone", "new", "stays", "told"), CASES)
def test_taking_it_back_leaves_no_trace(changed, gone, new, stays, told):
    after = go_on(go_on(begin(BASE), changed), {path: BASE.get(path) for path in changed}, "r2")
    assert (names(after), after.held_changes, after.diagnostics) == (ALL, (), ())


def told(changed, base=BASE):
    return [(str(d).rpartition(" [")[0]) for d in go_on(begin(base), changed).diagnostics]


def lines(text):
    """Positions in one-line JSON are of no use to a reader: a blueprint and an instance as people write them."""
    return text.encode()


READABLE = lines("""\
apiVersion: stationkeeper/v1
kind: Blueprint
metadata: {name: web}
spec:
  version: "1"
  inputs:
    - {name: app, required: true}
    - {name: n, type: number, default: 1}
  template:
    - kind: Context
      metadata:
        name: ${{ inputs.app }}
      spec:
        env:
          N: "about ${{ string(1 / inputs.n) }}"
""")
INSTANCE = """\
apiVersion: stationkeeper/v1
kind: BlueprintInstance
metadata: {name: shop}
spec:
  blueprint: web
  version: "1"
  inputs:
    app: shop
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (INSTANCE + "    n: 0\n", "i.yaml:5:14: error: BlueprintInstance root/shop: divide by zero (handle that case first: CONDITION ? ONE : OTHER; in the template at b.yaml:15:24)"),
        (INSTANCE.replace("app: shop", "app: No"), "i.yaml:5:14: error: BlueprintInstance root/shop: template[0]: metadata.name is not a name (lower-case letters, digits and inner dashes, at most 63 characters; in the template at b.yaml:12:15)"),
        (INSTANCE.replace("app: shop", "ap: shop"), "i.yaml:8:5: error: BlueprintInstance root/shop: the input app of blueprint web version 1 is missing"),
        (INSTANCE.replace('"1"', '"3"'), "i.yaml:6:12: error: there is no version 3 of Blueprint web for BlueprintInstance root/shop (it has 1)"),
        (INSTANCE.replace(": web", ": wep"), "i.yaml:5:14: error: there is no Blueprint wep for BlueprintInstance root/shop (did you mean web?)"),
    ],
)  # fmt: skip
def test_an_instance_is_told_where_it_stands_and_where_the_template_does(text, line):
    found = told({"i.yaml": lines(text)}, {"b.yaml": READABLE})
    assert line in found


def test_a_blueprint_that_breaks_an_instance_is_told_at_its_own_place():
    before = begin({"b.yaml": READABLE, "i.yaml": lines(INSTANCE)})
    after = go_on(before, {"b.yaml": READABLE.replace(b"inputs.n)", b"(inputs.n - 1))")})
    assert [str(d.position) for d in after.diagnostics] == ["Position(file='b.yaml', line=15, column=24)"]
    assert "BlueprintInstance root/shop" in after.diagnostics[0].summary


def test_what_a_made_stack_gets_and_from_where():
    found = effective(begin(BASE).documents, stack_id("team/shop-web"))
    assert {
        name: (value.value, str(value.origin.made.blueprint if value.origin.made else value.origin.ref))
        for name, value in found.env.items()
    } == {
        "LEVEL": ("info", "Context platform/common"),
        "SIZE": ("s", "Blueprint platform/web@1"),
        "N": ("5", "Blueprint platform/web@1"),
    }
    assert found.made is not None
    assert (str(found.made.instance), found.made.version, found.made.title) == (
        "BlueprintInstance team/shop",
        "1",
        "platform/web",
    )
    # Relative paths count from the blueprint's own file.
    assert found.source is not None
    assert found.source.path == "p"


def test_values_keep_their_types_where_an_expression_is_all():
    typed = blueprint(
        "web",
        template(
            "x",
            suspended="${{ inputs.n > 1 }}",
            env="${{ {'A': inputs.app, 'B': 'b'} }}",
            source={"path": ".", "include": "${{ [inputs.app + '/**'] }}"},
        ),
        inputs=INPUTS,
    )
    found = effective(begin(BASE | {"p/web.yaml": typed}).documents, stack_id("team/x"))
    assert (found.spec.suspended, found.source.include) == (True, ("shop/**",))
    assert {name: value.value for name, value in found.env.items()} == {"A": "shop", "B": "b"}


def test_templates_know_their_instance_and_its_space():
    known = blueprint(
        "web",
        template(
            "x",
            kind="Context",
            env={
                "A": "${{ context.space }}/${{ context.name }} ${{ context.labels.tier }} ${{ 'x' in context.spaceLabels ? 'y' : 'n' }}"
            },
        ),
    )
    files = BASE | {"p/web.yaml": known, "p/t/shop.yaml": instance("shop", "web", labels={"tier": "web"})}
    found = begin(files).documents.placed(ref("Context team/x"))
    assert found.resource.spec.env == {"A": "team/shop web n"}


def test_secrets_pass_as_references_only():
    inputs = [{"name": "token", "type": "secret", "required": True}]
    web = blueprint("web", template("x", "${{ 'common' }}", env={"T": "${{ inputs.token }}"}), inputs=inputs)
    for given, code in [
        ("clear", "invalid-input"),
        ({"file": "a", "env": "B"}, "not-a-value"),
        ({"fil": "a"}, "not-a-value"),
    ]:
        found = begin(BASE | {"p/web.yaml": web, "p/t/shop.yaml": instance("shop", "web", token=given)})
        assert [d.code for d in found.diagnostics] == [code]
        assert "clear" not in str(found.diagnostics)


def test_changes_and_affected_name_what_instances_make():
    before = begin(BASE | {"p/t/b.yaml": instance("b", "web", app="b"), "p/two.yaml": TWO})
    after = go_on(before, {"p/t/shop.yaml": instance("shop", "web", app="shop", size="m")})
    found = changes(before.documents, after.documents, differing(before, after))
    assert [f"{change.verb} {change.ref}" for change in found] == [
        "update BlueprintInstance team/shop",
        "update Stack team/shop-web",
    ]
    assert {str(each) for each in affected(before, after)} == {"team/shop-web"}
    later = go_on(
        before, {"p/web.yaml": blueprint("web", template("${{ inputs.app }}-web", env={"A": "1"}), inputs=INPUTS)}
    )
    assert {str(each) for each in affected(before, later)} == {"team/shop-web", "team/b-web"}


def test_only_what_changed_is_made_anew():
    before = begin(BASE | {"p/t/b.yaml": instance("b", "web", app="b")})
    after = go_on(
        before,
        {"p/t/shop.yaml": instance("shop", "web", app="mart"), "p/c.yaml": context("common", {"LEVEL": "debug"})},
    )
    same_as = {
        str(each): after.documents.expansions[each] is before.documents.expansions[each]
        for each in after.documents.expansions
    }
    assert same_as == {"BlueprintInstance team/b": True, "BlueprintInstance team/shop": False}
    assert {str(each) for each in affected(before, after)} == {"team/mart-web", "team/b-web"}


def test_there_are_limits():
    many_documents = blueprint(
        "web", *(template("${{ context.name }}-" + str(number), kind="Context") for number in range(150))
    )
    twice = blueprint(
        "twice", *(template(f"i{n}", kind="BlueprintInstance", blueprint="web", version="1") for n in range(2))
    )
    found = begin({"a.yaml": many_documents, "b.yaml": twice, "c.yaml": instance("x", "twice")})
    assert "too-many-documents" in {d.code for d in found.diagnostics}
    chain = {
        f"{n}.yaml": blueprint(f"b{n}", template(f"i{n}", kind="BlueprintInstance", blueprint=f"b{n + 1}", version="1"))
        for n in range(6)
    }
    found = begin(chain | {"6.yaml": blueprint("b6", template("c", kind="Context")), "i.yaml": instance("x", "b0")})
    assert [d.code for d in found.diagnostics] == ["blueprint-depth"]
    assert names(
        begin(chain | {"6.yaml": blueprint("b6", template("c", kind="Context")), "i.yaml": instance("x", "b2")})
    ) >= {"Context root/c"}


def test_all_expressions_together_have_limits():
    inputs = [{"name": "text", "type": "text", "required": True}]
    env = {f"A{number}": "${{ inputs.text }}" for number in range(100)}
    big = blueprint("big", template("x", kind="Context", env=env), inputs=inputs)
    assert begin({"b.yaml": big, "i.yaml": instance("i", "big", text="x" * 20_000)}).diagnostics == ()
    found = begin({"b.yaml": big, "i.yaml": instance("i", "big", text="x" * 30_000)})
    assert {d.code for d in found.diagnostics} == {"expression-limit"}
    loop = "${{ string(inputs.text.split('').map(c, c).size()) }}"
    slow = blueprint(
        "slow", template("x", kind="Context", env={f"A{number}": loop for number in range(200)}), inputs=inputs
    )
    found = begin({"b.yaml": slow, "i.yaml": instance("i", "slow", text="x" * 9_000)})
    assert {d.code for d in found.diagnostics} == {"expression-limit"}
    wordy = blueprint(
        "wordy", template("x", kind="Context", env={f"A{n}": "${{ '" + "x" * 900 + "' }}" for n in range(100)})
    )
    found = begin({"b.yaml": wordy})
    assert [d.code for d in found.diagnostics] == ["expression-limit"]


def test_a_mounted_file_is_part_of_the_blueprint():
    web = blueprint(
        "web", template("x", files={"a": {"source": "./a.txt"}, "b": {"source": "${{ inputs.app }}"}}), inputs=INPUTS
    )
    from spaces.validate import validate_files

    found = validate_files(BASE | {"p/web.yaml": web, "p/a.txt": b"hello", "p/shop": b"x"})
    assert [(d.code, "write the path in the template" in d.summary) for d in found] == [("file-not-found", True)]
    web = blueprint("web", template("x", files={"a": {"source": "./a.txt"}}), inputs=INPUTS)
    assert validate_files(BASE | {"p/web.yaml": web, "p/a.txt": b"hello"}) == []
    assert [d.code for d in validate_files({"p/web.yaml": web})] == ["file-not-found"]
