"""The example configuration is right, and its editor support is up to date."""

import json
from pathlib import Path

import pytest

from spaces.effective.stack import effective
from spaces.names import Kind, StackId
from spaces.reading.attachments import out_of
from spaces.reading.json_schema import json_schemas
from spaces.validate import examine_files, validate_files

EXAMPLE = Path(__file__).parents[2] / "examples" / "repo"
SCHEMAS = EXAMPLE / ".stationkeeper" / "schemas"
EVERYTHING = sorted(path for path in EXAMPLE.rglob("*") if path.is_file())
FILES = {path.relative_to(EXAMPLE).as_posix(): path.read_bytes() for path in EVERYTHING}
DOCUMENTS = {name: it for name, it in FILES.items() if name.endswith("yaml") and b"apiVersion: stationkeeper/v1" in it}
MODELINE = "# yaml-language-server: $schema="


@pytest.fixture(scope="module")
def catalog():
    return examine_files(FILES, out_of(FILES)).documents


def test_nothing_is_wrong_with_it():
    assert validate_files(FILES) == []


def test_nothing_is_wrong_with_those_of_the_tools():
    top = EXAMPLE.parent / "tools"
    files = {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}
    assert validate_files(files) == []


def test_it_holds_what_its_readme_lists(catalog):
    readme = (EXAMPLE / "README.md").read_text()
    for stack in catalog.stacks():
        assert f"`{stack.name}`" in readme
    assert {str(stack) for stack in catalog.stacks()} == {
        "platform/network",
        "platform/hosts",
        "shop/web",
        "shop/search",
        "shop/status-page",
        "billing/ledger",
        "billing/retention",
    }


def test_what_the_shop_inherits(catalog):
    shop = effective(catalog, StackId.parse("shop/web"))
    assert {name: value.value for name, value in shop.env.items() if name in {"LOG_LEVEL", "TF_VAR_owner"}} == {
        "LOG_LEVEL": "warning",
        "TF_VAR_owner": "shop",
    }
    assert catalog.lookup(Kind.CONTEXT, "terraform", "shop") is not None
    assert catalog.lookup(Kind.CONTEXT, "terraform", "billing") is None


def test_what_the_shop_gets_by_its_labels(catalog):
    shop = effective(catalog, StackId.parse("shop/web"))
    assert [(used.ref.name, str(used)) for used in shop.contexts][:2] == [
        ("web", "attached by labels tier=web"),
        ("common", "named, priority 0"),
    ]
    assert shop.files["house-ca.pem"].value.path == "platform/house-ca.pem"
    assert "HOUSE_CA" not in effective(catalog, StackId.parse("platform/network")).env


def test_one_directory_stands_in_for_the_world(catalog):
    directories = {
        effective(catalog, stack).env["FLEET_DIR"].value
        for stack in catalog.stacks()
        if "FLEET_DIR" in effective(catalog, stack).env
    }
    assert directories == {"/var/tmp/stationkeeper-example"}
    assert str(directories.pop()) in (EXAMPLE / "README.md").read_text()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_editors_find_the_schema(name):
    first = DOCUMENTS[name].decode().splitlines()[0]
    assert first.startswith(MODELINE)
    schema = (EXAMPLE / name).parent / first.removeprefix(MODELINE)
    assert schema.resolve() == SCHEMAS / "stationkeeper.schema.json"


def test_the_schemas_are_those_of_this_version():
    """`station schema --write examples/repo/.stationkeeper/schemas` writes them anew."""
    found = {path.name: json.loads(path.read_text()) for path in SCHEMAS.iterdir()}
    assert found == json_schemas()
