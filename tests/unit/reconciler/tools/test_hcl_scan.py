from __future__ import annotations

import pytest

from reconciler.tools.terraform.hcl_scan import Block, Expression, Text, scan


def found(text: str) -> list[object]:
    """List blocks and plain strings."""
    return [
        (".".join(" ".join(header) for header in item.path), item.name, item.value)
        if isinstance(item, Text)
        else ".".join(" ".join(header) for header in item.path)
        for item in scan(text)
        if not isinstance(item, Expression)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('module "a" {\n  source = "./a"\n}\n', ["module a", ("module a", "source", "./a")], id="block"),
        pytest.param('module "a" { source = "./a" }', ["module a", ("module a", "source", "./a")], id="one line"),
        pytest.param('module a {\n source = "./a"\n}', ["module a", ("module a", "source", "./a")], id="bare label"),
        pytest.param(
            'terraform {\n  backend "s3" {}\n}\nx "y" {}', ["terraform", "terraform.backend s3", "x y"], id="nested"
        ),
        pytest.param('terraform { backend "http" {} }', ["terraform", "terraform.backend http"], id="nested one line"),
        pytest.param('# module "a" {\n// module "b" {\n/* module "c" {\n} */\nd "e" {}', ["d e"], id="comments"),
        pytest.param('a "b" {\n s = "./x" # why\n}', ["a b", ("a b", "s", "./x")], id="comment after a value"),
        pytest.param('a "b" {\n s = "x${1}"\n}', ["a b"], id="template is no plain string"),
        pytest.param('a "b" {\n s = "${ { k = "}" } }"\n t = "u"\n}', ["a b", ("a b", "t", "u")], id="template nests"),
        pytest.param('a "b" {\n s = "$${x}"\n}', ["a b", ("a b", "s", "${x}")], id="escaped template"),
        pytest.param('a "b" {\n s = "q\\"}{\\n\\u0041"\n}', ["a b", ("a b", "s", 'q"}{\nA')], id="escapes"),
        pytest.param('a "b" {\n s = "x" + "y"\n}', ["a b"], id="expression of strings"),
        pytest.param('a "b" {\n s = f("x")\n}', ["a b"], id="call"),
        pytest.param('a "b" {\n m = { source = "./no" }\n}', ["a b"], id="object is no block"),
        pytest.param('a "b" {\n m = [{\n  source = "./no"\n }]\n t = "u"\n}', ["a b", ("a b", "t", "u")], id="list"),
        pytest.param('a "b" {\n s = c == "d" ? "e" : "f"\n}', ["a b"], id="condition"),
        pytest.param(
            'a "b" {\n s = <<EOT\n}\nmodule "x" {\nEOT\n t = "u"\n}', ["a b", ("a b", "t", "u")], id="heredoc"
        ),
        pytest.param('a "b" {\n s = <<-E\n   }\n   E\n t = "u"\n}', ["a b", ("a b", "t", "u")], id="indented heredoc"),
        pytest.param('a "b" {\n s = "open\n}\nc "d" {}', ["a b"], id="string without end"),
        pytest.param('}}}])\na "b" {}', ["a b"], id="closed too often"),
        pytest.param('a "b" {\r\n s = "x"\r\n}\r\n', ["a b", ("a b", "s", "x")], id="windows line ends"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_scan_finds_blocks_and_plain_strings(text: str, expected: list[object]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("type = string", "string", id="word"),
        pytest.param("type = list(string)", "list", id="call"),
        pytest.param("type = # why\n", None, id="nothing"),
        pytest.param("type = /* why */ any", "any", id="behind a comment"),
        pytest.param('type = "list"', None, id="plain string"),
        pytest.param('type = "${string}"', '"', id="template"),
        pytest.param('type = "a" == b', '"', id="comparison"),
        pytest.param("type = { a = string }", "{", id="object"),
        pytest.param("type = [string]", "[", id="list"),
        pytest.param("type = -1", "-", id="number"),
        pytest.param("type = <<E\nx\nE\n", "<<E\n", id="heredoc"),
        pytest.param("type == string", None, id="no attribute"),
    ],
)
def test_an_attribute_that_is_no_plain_string_is_known_by_how_it_begins(text: str, expected: str | None) -> None:
    expressions = [item for item in scan(f'variable "v" {{\n  {text}\n}}\n') if isinstance(item, Expression)]
    wanted = [] if expected is None else [Expression((("variable", "v"),), "type", expected)]
    assert expressions == wanted


def test_deep_nesting_costs_no_recursion() -> None:
    text = "x = " + "[" * 50_000 + '"${' * 1000
    assert [item for item in scan(text) if not isinstance(item, Expression)] == []


def test_scan_agrees_with_a_full_parser() -> None:
    hcl2 = pytest.importorskip("hcl2")
    text = """
locals {
  names = { for n in ["a", "b"] : n => "${n}-${join("}", ["{", n])}" }
  text  = <<-EOT
    module "no" { source = "./no" }
    %{ for n in local.names }${n}%{ endfor }
  EOT
}
module "vpc" {
  source    = "../modules/vpc" # module "x" {
  providers = { aws = aws.eu }
}
module "dns" {
  count  = length(local.names) > 1 ? 1 : 0
  source = "./dns"
}
"""
    parsed = hcl2.loads(text)
    expected = {
        name.strip('"'): body["source"].strip('"') for module in parsed["module"] for name, body in module.items()
    }
    assert {
        item.path[0][1]: item.value
        for item in scan(text)
        if isinstance(item, Text) and item.path[0][0] == "module" and item.name == "source"
    } == expected
    assert [item.path for item in scan(text) if isinstance(item, Block)] == [
        (("locals",),),
        (("module", "vpc"),),
        (("module", "dns"),),
    ]
