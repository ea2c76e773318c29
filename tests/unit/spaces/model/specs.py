"""Read one document of a kind, by the text of its spec."""

from spaces.reading.resources import parse_file

HEAD = "apiVersion: stationkeeper/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n"


def parse(kind: str, spec: str):
    return parse_file("a.yaml", (HEAD.format(kind=kind) + spec).encode())


def accepted(kind: str, spec: str):
    parsed = parse(kind, spec)
    assert [str(each) for each in parsed.diagnostics] == []
    return parsed.resources[0].spec


def refused(kind: str, spec: str) -> list[tuple[str, int, int]]:
    """Code, line (from 1 at the first line of the spec's content) and column of each finding."""
    parsed = parse(kind, spec)
    assert parsed.resources == ()
    assert all("\n" not in str(each) for each in parsed.diagnostics)
    return [(each.code, each.position.line - 4, each.position.column) for each in parsed.diagnostics if each.position]
