"""Sealed values that are used elsewhere than they were sealed for: told offline, with their place."""

import pytest

from spaces.model.sealed import SealedPlace, write
from spaces.names import Kind
from spaces.validate import validate_files

_AGE = b"age-encryption.org/v1\n-> X25519 abc\n" + b"x" * 60
_HEAD = "apiVersion: stationkeeper/v1\n"


def sealed(kind, space, name, key):
    return write(_AGE, SealedPlace.of(kind, space, name, key))


def stack(text, name="web"):
    return f"{_HEAD}kind: Stack\nmetadata: {{name: {name}}}\nspec: {{tool: script, script: {{apply: x}}, {text}}}\n"


def found(text):
    files = {"space.yaml": f"{_HEAD}kind: Space\nmetadata: {{name: shop}}\n", "a.yaml": text}
    return validate_files({path: data.encode() for path, data in files.items()})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(stack(f"env: {{A: {{sealed: {sealed(Kind.STACK, 'shop', 'web', 'A')}}}}}"), id="variable"),
        pytest.param(stack(f"files: {{a/b: {{sealed: {sealed(Kind.STACK, 'shop', 'web', 'a/b')}}}}}"), id="file"),
        pytest.param(
            f"{_HEAD}kind: Repository\nmetadata: {{name: r}}\nspec: {{url: https://h/x, credentials: {{password: "
            f"{{sealed: {sealed(Kind.REPOSITORY, 'shop', 'r', 'password')}}}}}}}\n",
            id="credentials",
        ),
        pytest.param(
            f"{_HEAD}kind: Stack\nmetadata: {{name: web}}\nspec: {{tool: ansible, source: {{path: .}}, ansible: {{playbook: x, "
            f"privateKey: {{sealed: {sealed(Kind.STACK, 'shop', 'web', 'ansible.privateKey')}}}}}}}\n",
            id="setting of a tool",
        ),
    ],
)
def test_at_its_place_a_sealed_value_is_fine(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "place",
    [
        (Kind.STACK, "shop", "web", "B"),
        (Kind.STACK, "shop", "app", "A"),
        (Kind.CONTEXT, "shop", "web", "A"),
        (Kind.STACK, "root", "web", "A"),
    ],
    ids="-".join,
)
def test_a_copy_is_told_with_its_place_and_how_to_seal_it_anew(place):
    (problem,) = found(stack(f"env: {{A: {{sealed: {sealed(*place)}}}}}"))
    assert (problem.code, problem.position.line, problem.position.column) == ("sealed-elsewhere", 4, 60)
    assert problem.summary == "A of Stack shop/web was sealed for another place"
    assert problem.hint == (
        "seal it again: station seal --space shop --kind Stack --name web --key A (if the space is new or moves, write "
        "its whole path)"
    )


@pytest.mark.parametrize(
    ("space", "codes"),
    [("platform/shop", []), ("shop", []), ("other/shop", ["sealed-elsewhere"]), ("platform", ["sealed-elsewhere"])],
    ids=["its path", "its name, as earlier versions", "elsewhere", "above it"],
)
def test_a_value_is_sealed_for_the_whole_path_of_a_space(space, codes):
    files = {
        "space.yaml": f"{_HEAD}kind: Space\nmetadata: {{name: platform}}\n",
        "shop/space.yaml": f"{_HEAD}kind: Space\nmetadata: {{name: shop}}\n",
        "shop/a.yaml": stack(f"env: {{A: {{sealed: {sealed(Kind.STACK, space, 'web', 'A')}}}}}"),
    }
    found = validate_files({path: data.encode() for path, data in files.items()})
    assert [problem.code for problem in found] == codes


@pytest.mark.parametrize(
    ("place", "codes"),
    [
        pytest.param((Kind.STACK, "shop", "made", "A"), [], id="for what it makes"),
        pytest.param((Kind.BLUEPRINT_INSTANCE, "shop", "one", "token"), ["sealed-elsewhere"], id="for the instance"),
    ],
)
def test_what_an_instance_passes_on_is_sealed_for_what_it_makes(place, codes):
    template = "[{kind: Stack, metadata: {name: made}, spec: {tool: script, script: {apply: x}, env: {A: '${{ inputs.token }}'}}}]"
    blueprint = f"{_HEAD}kind: Blueprint\nmetadata: {{name: b}}\nspec: {{version: '1', inputs: [{{name: token, type: secret}}], template: {template}}}\n"
    instance = f"{_HEAD}kind: BlueprintInstance\nmetadata: {{name: one}}\nspec: {{blueprint: b, version: '1', inputs: {{token: {{sealed: {sealed(*place)}}}}}}}\n"
    assert [problem.code for problem in found(blueprint + "---\n" + instance)] == codes
