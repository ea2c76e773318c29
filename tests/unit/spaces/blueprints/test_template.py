"""What is wrong with a blueprint before anybody uses it: all of it, each at its place."""

import pytest

from spaces.validate import validate_files

HEAD = """\
apiVersion: stationkeeper/v1
kind: Blueprint
metadata: {name: web}
spec:
  version: "2"
  inputs:
    - {name: app, required: true}
    - {name: size, type: select, options: [s, m], default: s}
    - {name: token, type: secret, required: true}
  template:
"""


def found(text):
    return [
        (d.position.line, d.position.column, d.code, d.summary, d.hint)
        for d in validate_files({"b.yaml": text.encode()})
    ]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("    - {kind: Context, metadata: {name: 'a-${{ inputs.app }}'}}\n", []),
        ("    - {kind: Context, metadata: {name: x}, spec: {env: {A: '${{ inputs.ap }}'}}}\n", [(11, 65, "invalid-expression")]),
        ('    - {kind: Context, metadata: {name: x}, spec: {env: {A: "é ${{ 1/0 }}"}}}\n', [(11, 66, "expression-failed")]),
        (
            "    - kind: Context\n      metadata: {name: x}\n      spec:\n        files:\n          a: |\n            one\n            ${{ inputs.app }} ${{ foo(1) }}\n",
            [(17, 35, "invalid-expression")],
        ),
        ("    - {kind: Context, metadata: {name: x}, spec: {env: {A: '${{ inputs.app + '}}}\n", [(11, 64, "invalid-expression")]),
        ("    - {kind: Context, metadata: {name: x}, spec: {env: {A: '${{ [1] }}-'}}}\n", [(11, 64, "expression-failed")]),
        ("    - {kind: Context, metadata: {name: x}, spec: {env: {'${{ inputs.app }}': a}}}\n", [(11, 57, "invalid-env-name"), (11, 57, "invalid-expression")]),
        ("    - {kind: Role, metadata: {name: x}}\n", [(11, 14, "invalid-value")]),
        ("    - {kind: Blueprint, metadata: {name: x}}\n", [(11, 14, "invalid-value")]),
        ("    - {metadata: {name: x}}\n", [(11, 7, "missing-key")]),
        ("    - {apiVersion: stationkeeper/v1, kind: Context, metadata: {name: x}}\n", [(11, 8, "unknown-key")]),
        ("    - {kind: Context, metadata: {name: x}, spec: {evn: {}}}\n", [(11, 51, "unknown-key")]),
        ("    - {kind: Context, metadata: {name: x}, spec: {env: {A: 1}}}\n", [(11, 60, "wrong-type")]),
        ("    - {kind: Stack, metadata: {name: x}, spec: {tool: '${{ inputs.app }}'}}\n", []),
        ("    - {kind: Stack, metadata: {name: x}, spec: {tool: script}}\n", [(11, 42, "missing-key")]),
        ("    - {kind: Stack, metadata: {name: x, movedFrom: a/b}, spec: {tool: script, script: {apply: a}}}\n", [(11, 41, "not-supported")]),
        (
            "    - {kind: Context, metadata: {name: 'x-${{ inputs.app }}'}}\n    - {kind: Context, metadata: {name: 'x-${{ inputs.app }}'}}\n",
            [(12, 40, "duplicate-name")],
        ),
        ("    - {kind: Context, metadata: {name: x}, spec: {env: {A: '${{ inputs.token }}'}}}\n", []),
        ("    - {kind: Context, metadata: {name: x}, spec: {env: {A: 'a ${{ inputs.token }}'}}}\n", [(11, 67, "secret-in-text")]),
        ("    - {kind: Context, metadata: {name: x}, spec: {env: {A: '${{ inputs.token + \"x\" }}'}}}\n", [(11, 65, "secret-in-text")]),
        ("    - text\n", [(11, 7, "wrong-type")]),
        ("    []\n", [(11, 5, "invalid-value")]),
    ],
)  # fmt: skip
def test_templates(template, expected):
    places = [(line, column, code) for line, column, code, _, _ in found(HEAD + template)]
    assert places == expected


INPUTS = [
    ("{name: a}", []),
    ("{name: a, type: number, min: 1, max: 3, default: 2.5}", []),
    ("{name: a, type: number, default: x}", ["invalid-value"]),
    ("{name: a, type: number, min: 3, default: 2}", ["invalid-value"]),
    ("{name: a, type: number, min: 3, max: 2}", ["invalid-value"]),
    ("{name: a, type: boolean, default: 'true'}", ["invalid-value"]),
    ("{name: a, default: 1}", ["invalid-value"]),
    ('{name: a, default: "a\\nb"}', ["invalid-value"]),
    ('{name: a, type: text, default: "a\\nb"}', []),
    ("{name: a, pattern: '[a-z]+', default: A}", ["invalid-value"]),
    ("{name: a, pattern: '('}", ["invalid-pattern"]),
    ("{name: a, type: number, pattern: a}", ["invalid-value"]),
    ("{name: a, type: select}", ["missing-key"]),
    ("{name: a, type: select, options: [x], default: y}", ["invalid-value"]),
    ("{name: a, options: [x]}", ["invalid-value"]),
    ("{name: a, type: secret, default: x}", ["invalid-value"]),
    ("{name: a, required: true, default: x}", ["invalid-value"]),
    ("{name: for}", ["reserved-name"]),
    ("{name: a-b}", ["invalid-name"]),
    ("{name: a, type: list}", ["invalid-value"]),
    ("{name: a, typ: string}", ["unknown-key"]),
    ("{name: a, default: [x]}", ["not-a-value"]),
    ("{type: string}", ["missing-key"]),
    ("{name: a}, {name: a}", ["duplicate-name"]),
]


@pytest.mark.parametrize(("inputs", "codes"), INPUTS)
def test_inputs(inputs, codes):
    text = "apiVersion: stationkeeper/v1\nkind: Blueprint\nmetadata: {name: web}\n"
    text += f"spec: {{version: '1', inputs: [{inputs}], template: [{{kind: Context, metadata: {{name: x}}}}]}}\n"
    assert [code for _, _, code, _, _ in found(text)] == codes


def test_everything_is_told_at_once_with_a_likely_word():
    text = (
        HEAD
        + "    - {kind: Context, metadata: {name: '${{ inputs.sise }}'}, spec: {env: {A: '${{ context.nme }} ${{ inputs.app.uperAscii() }}'}}}\n"
    )
    assert [hint for *_, hint in found(text)] == [
        "did you mean inputs.size?",
        "did you mean context.name?",
        "did you mean upperAscii?",
    ]


@pytest.mark.parametrize(
    ("version", "codes"),
    [('"2"', []), ('"2026.1-rc.1+x"', []), ("2", ["wrong-type"]), ('"a b"', ["invalid-version"]), ('"a/b"', ["invalid-version"]), ('"a@b"', ["invalid-version"])],
)  # fmt: skip
def test_versions(version, codes):
    text = HEAD.replace('"2"', version) + "    - {kind: Context, metadata: {name: x}}\n"
    assert [code for _, _, code, _, _ in found(text)] == codes
