import json

import pytest

from spaces.model.pool import WorkerPoolSpec
from spaces.model.tools import TOOLS
from spaces.validate import validate_files
from tests.unit.spaces.builders import BROKEN, context

HEAD = "apiVersion: stationkeeper/v1\nkind: {kind}\nmetadata: {metadata}\nspec: {spec}\n"


def text(kind, metadata, spec="{}"):
    return HEAD.format(kind=kind, metadata=metadata, spec=spec).encode()


STACK = "{tool: terraform, source: {path: .}, contexts: [%s]}"
ROOT_CONTEXTS = (
    text("Context", "{name: common}", "{env: {A: a}}") + b"---\n" + text("Context", "{name: other}", "{env: {A: b}}")
)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"a.yaml": text("Stack", "{name: s}", STACK % "")}, [], id="good"),
        pytest.param({"README.md": b"# hello", ".github/ci.yaml": b"on: push"}, [], id="not ours"),
        pytest.param(
            {"a.yaml": text("Stack", "{name: s, space: prdo}", STACK % ""), "p.yaml": text("Space", "{name: prod}")},
            ["a.yaml:3:28 unknown-space did you mean prod?"],
            id="unknown space",
        ),
        pytest.param(
            {"c.yaml": ROOT_CONTEXTS, "a.yaml": text("Stack", "{name: s}", STACK % "commn")},
            ["a.yaml:4:55 unknown-context did you mean common?"],
            id="unknown context",
        ),
        pytest.param(
            {"c.yaml": ROOT_CONTEXTS, "a.yaml": text("Stack", "{name: s}", STACK % "{name: roto/common}")},
            ["a.yaml:4:62 unknown-context did you mean root/common?"],
            id="unknown context of another space",
        ),
        pytest.param(
            {
                "c.yaml": ROOT_CONTEXTS,
                "t/space.yaml": text("Space", "{name: team}"),
                "t/a.yaml": text("Stack", "{name: s}", STACK % "common"),
            },
            ["t/a.yaml:4:55 unknown-context it must be in team, or in a space that team inherits from"],
            id="what does not flow is not even suggested",
        ),
        pytest.param(
            {"a.yaml": text("Stack", "{name: s}", "{tool: terraform, source: {path: ., repository: infra}}")},
            ["a.yaml:4:55 unknown-repository it must be in root, or in a space that root inherits from"],
            id="unknown repository",
        ),
        pytest.param(
            {
                "bob.yaml": text("User", "{name: bob}"),
                "g.yaml": text("Group", "{name: shop-team}", "{members: [bob, bobb]}"),
                "s.yaml": text("Stack", "{name: s}", STACK % ""),
                "b.yaml": text(
                    "RoleBinding",
                    "{name: b}",
                    "{role: writer, subjects: [{group: shop-team}, {group: shop-tem}, {user: carol}, {apiKey: ci}, "
                    "{stack: root/s}, {stack: root/ss}]}",
                ),
                "r.yaml": text(
                    "Repository", "{name: r}", "{url: 'https://h/r.git', verify: {signers: [{user: bib}, {user: bob}]}}"
                ),
            },
            [
                "b.yaml:4:61 unknown-subject did you mean shop-team?",
                "b.yaml:4:79 unknown-subject add the User document, or take the name out",
                "b.yaml:4:96 unknown-subject add the ApiKey document, or take the name out",
                "b.yaml:4:126 unknown-subject did you mean root/s?",
                "g.yaml:4:23 unknown-subject did you mean bob?",
                "r.yaml:4:58 unknown-subject did you mean bob?",
            ],
            id="nobody of that name",
        ),
        pytest.param(
            {
                "r.yaml": text("Repository", "{name: r}", "{url: 'https://h/r.git'}"),
                "s.yaml": text("Stack", "{name: s}", "{tool: terraform, source: {path: .}, gitCredentials: [r]}"),
                "t/space.yaml": text("Space", "{name: team}"),
                "t/n.yaml": text("Notifier", "{name: n}", "{type: slack, url: {file: f}, events: [held, halted]}"),
            },
            [
                "s.yaml:4:61 no-credentials add them there, or leave it out",
                "t/n.yaml:4:52 never-told leave it out, or add a notifier in root",
            ],
            id="no effect",
        ),
        pytest.param(
            {
                "n.yaml": text("Notifier", "{name: n}", "{type: mail, url: {file: f}, events: [held]}"),
                "o.yaml": text("Notifier", "{name: o}", "{type: slack, to: [a@b.c], events: [held]}"),
            },
            [
                "n.yaml:4:1 missing-key None",
                "n.yaml:4:20 invalid-value leave it out",
                "o.yaml:4:1 missing-key None",
                "o.yaml:4:21 invalid-value leave it out",
            ],
            id="settings of another type of notifier",
        ),
        pytest.param(
            {"c.yaml": ROOT_CONTEXTS, "a.yaml": text("Stack", "{name: s}", STACK % "common, other")},
            ["a.yaml:4:63 context-tie give one of them a higher priority"],
            id="context tie",
        ),
        pytest.param(
            {"c.yaml": ROOT_CONTEXTS, "a.yaml": text("Stack", "{name: s}", STACK % "common, root/common")},
            ["a.yaml:4:63 duplicate-context name it once"],
            id="one context by two names",
        ),
        pytest.param(
            {"a.yaml": text("Space", "{name: a}", "{parent: b}"), "b.yaml": text("Space", "{name: b}", "{parent: a}")},
            [
                "a.yaml:4:16 space-cycle give one of them another parent",
                "b.yaml:4:16 space-cycle give one of them another parent",
            ],
            id="cyclic parents",
        ),
        pytest.param(
            {"a.yaml": text("Space", "{name: a}", "{parent: roots}")},
            ["a.yaml:4:16 unknown-space did you mean root?"],
            id="unknown parent",
        ),
        pytest.param(
            {
                "a.yaml": text("Stack", "{name: s, movedFrom: root/t}", STACK % ""),
                "b.yaml": text("Stack", "{name: t}", STACK % ""),
            },
            ["a.yaml:3:32 moved-from-exists leave movedFrom out"],
            id="moved from what exists",
        ),
        pytest.param(
            {
                "a.yaml": BROKEN,
                "b.yaml": text("Stack", "{name: s}", STACK % "gone"),
                "c.yaml": text("Stack", "{name: S}", "{}"),
            },
            [
                "a.yaml:3:1 yaml-syntax",
                "b.yaml:4:55 unknown-context",
                "c.yaml:3:18 invalid-name",
                "c.yaml:4:1 missing-key",
            ],
            id="all at once",
        ),
        pytest.param(
            {
                "a.yaml": text(
                    "Stack",
                    "{name: s}",
                    "{tol: x, tool: terraform, source: {path: ., repository: x}, contexts: [comon, {name: other}, B]}",
                ),
                "c.yaml": ROOT_CONTEXTS,
            },
            [
                "a.yaml:4:8 unknown-key",
                "a.yaml:4:63 unknown-repository",
                "a.yaml:4:78 unknown-context did you mean common?",
                "a.yaml:4:100 invalid-name",
            ],
            id="errors of its own hide no unknown names",
        ),
        pytest.param(
            {
                "a.yaml": text("Stack", "{name: s, space: gone}", STACK % "nowhere, common"),
                "c.yaml": text("Context", "{name: common}"),
            },
            ["a.yaml:3:28 unknown-space", "a.yaml:4:55 unknown-context"],
            id="an unknown space hides no unknown context",
        ),
        pytest.param(
            {
                "a.yaml": text("Stack", "{name: s}", STACK % "common"),
                "c.yaml": text("Context", "{name: common}", "{environment: {A: a}}"),
            },
            ["a.yaml:4:55 needs-broken repair it at c.yaml:3:18", "c.yaml:4:8 unknown-key"],
            id="a context that is broken is not told as missing",
        ),
        pytest.param(
            {
                "a.yaml": text("Stack", "{name: s}", STACK % "root/common"),
                "c.yaml": text("Context", "{name: common}") + b"---\n" + text("Context", "{name: common}"),
            },
            [
                "a.yaml:4:55 needs-broken repair it at c.yaml:3:18",
                "c.yaml:3:18 duplicate-name",
                "c.yaml:8:18 duplicate-name",
            ],
            id="nor one that is listed twice",
        ),
        pytest.param(
            {
                "t/a.yaml": text("Stack", "{name: s, space: team}", STACK % "common"),
                "t.yaml": text("Space", "{name: team}"),
                "u.yaml": text("Space", "{name: other}"),
                "c.yaml": text("Context", "{name: common, space: other}", "{environment: {A: a}}"),
            },
            ["c.yaml:4:8 unknown-key", "t/a.yaml:4:55 unknown-context"],
            id="a broken one that does not flow is no concern",
        ),
        pytest.param(
            {
                "a.yaml": text("Stack", "{name: s, space: team}", STACK % ""),
                "t.yaml": text("Space", "{name: team}", "{parents: root}"),
            },
            ["a.yaml:3:28 needs-broken repair it at t.yaml:3:18", "t.yaml:4:8 unknown-key"],
            id="a broken space is not told as missing",
        ),
        pytest.param(
            {
                "a.yaml": text("Stack", "{name: s}", STACK % "common"),
                "c.yaml": text("Context", "{name: common, space: gone}"),
                "r.yaml": text("Stack", "{name: t}", "{tool: terraform, source: {path: ., repository: infra}}"),
                "s.yaml": text("Repository", "{name: infra}", "{url: 1}"),
            },
            [
                "a.yaml:4:55 unknown-context",
                "c.yaml:3:33 unknown-space",
                "r.yaml:4:55 needs-broken repair it at s.yaml:3:18",
                "s.yaml:4:13 wrong-type",
            ],
            id="a broken repository, and a context in no space",
        ),
    ],
)
def test_validate(files, expected):
    found = validate_files(files)
    told = [f"{d.position.file}:{d.position.line}:{d.position.column} {d.code} {d.hint}" for d in found]
    assert len(told) == len(expected), told
    assert all(line.startswith(start) for line, start in zip(told, expected, strict=True)), told


def test_what_may_be_in_a_file_that_cannot_be_read_is_not_told_as_missing():
    files = {"c.yaml": BROKEN, "a.yaml": text("Stack", "{name: s}", STACK % "common")}
    assert validate_files(files)[0].summary == (
        "Stack root/s needs Context common, which does not exist; it may be in c.yaml, which cannot be read"
    )


@pytest.mark.parametrize(
    ("others", "told"),
    [(1, "1 other file that cannot be read either"), (2, "2 other files that cannot be read either")],
)
def test_how_many_more_files_cannot_be_read_is_told(others, told):
    files = {f"c{number}.yaml": BROKEN for number in range(others + 1)}
    found = validate_files(files | {"a.yaml": text("Stack", "{name: s}", STACK % "common")})
    assert found[0].summary.endswith(f"it may be in c0.yaml, which cannot be read, or in {told}")


def test_a_thousand_findings_stay_quick():
    """Looking for names to suggest and for places must not multiply with the number of findings."""
    contexts = b"---\n".join(text("Context", f"{{name: context-{i}}}") for i in range(100))
    stacks = b"---\n".join(text("Stack", f"{{name: s{i}}}", STACK % f"kontext-{i}") for i in range(1000))
    found = validate_files({"c.yaml": contexts, "s.yaml": stacks})
    assert len(found) == 1000
    assert found[0].hint == "did you mean context-0?"


def test_the_words_of_a_cycle_name_the_path():
    files = {"a.yaml": text("Space", "{name: a}", "{parent: b}"), "b.yaml": text("Space", "{name: b}", "{parent: a}")}
    assert validate_files(files)[0].summary == "Space a is its own ancestor: a -> b -> a"


def test_variables_that_take_over_are_warned_of():
    """Whether they may be set here, the settings and the access rules say."""
    files = {"a.yaml": context("a", {"PATH": "/x", "A": "b"})}
    (warning,) = validate_files(files)
    assert (warning.severity, warning.code, warning.position.line) == ("warning", "env-takes-over", 1)
    assert warning.summary == "spec.env.PATH takes over a process"
    assert "env:takeover in root" in warning.hint
    assert "env_takeover_allowed" in warning.hint


@pytest.mark.parametrize(
    ("data", "place"),
    [
        pytest.param(b"kind: [}", "1:8", id="not YAML"),
        pytest.param(b"[" * 200_000, "1:65", id="too deep"),
        pytest.param(b"a: 1\nb: \0\n", "2:4", id="NUL"),
        pytest.param(b"a: 1\nb: \xff\n", "2:4", id="not UTF-8"),
        pytest.param(b"{{- if .Values.on }}\nkind: Pod\n{{- end }}\n", None, id="a template of Helm's"),
        pytest.param(b"kind: Pod\n", None, id="somebody else's"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_a_warning(data, place):
    told = validate_files({"a.yaml": data, "c.yaml": text("Context", "{name: common}")})
    found = [f"{it.severity} {it.code} {it.position.line}:{it.position.column}" for it in told]
    assert found == ([f"warning unreadable-file {place}"] if place else [])


def test_a_tool_that_nobody_knows_is_answered_with_those_that_run():
    (told,) = validate_files({"a.yaml": text("Stack", "{name: s}", "{tool: chef, source: {path: .}}")})
    assert told.hint == f"one of {', '.join(sorted(TOOLS))}"


@pytest.mark.parametrize(
    ("spec", "summary"),
    [
        ("{engine: nomad}", "spec.engine: nomad is not supported by this version: runs by Nomad"),
        ("{engine: local, nomad: {}}", "spec.nomad is not supported by this version: runs by Nomad"),
    ],
)
def test_what_is_not_built_yet_is_said_to_be_so(monkeypatch, spec, summary):
    monkeypatch.setattr(WorkerPoolSpec, "later", {"nomad": "runs by Nomad"})
    (told,) = validate_files({"a.yaml": text("WorkerPool", "{name: s}", spec)})
    assert (told.code, told.summary) == ("not-supported", summary)


def test_nothing_that_would_steer_a_terminal_is_said():
    stack = json.dumps({"tool": "terraform", "source": {"path": "."}, "env": {"\x1b[31m\x07": {}}})
    (told,) = validate_files({"a\x1b.yaml": text("Stack", "{name: s}", stack)})
    assert told.summary == r"spec.env.\x1b[31m\x07 must name one of file, env, sealed, sops, vault"
    assert str(told).isprintable()
