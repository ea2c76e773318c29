"""`station blueprint …`: the blueprints there are, their inputs, the documents that they make, and orders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import click

from reconciler.cli import options
from reconciler.cli.client import Api, connect
from reconciler.cli.errors import CliError
from reconciler.cli.output import Column, key, print_data, print_rows
from spaces.model.inputs import value_of


@options.group("blueprint")
def command() -> None:
    """List blueprints, and show their inputs and the documents they make.

    BLUEPRINT is space/name, or a name that only one has.
    """


@options.add_command(
    command,
    click.option("-s", "--space", metavar="SPACE", help="Only blueprints of this space and of those below it."),
    options.output,
)
def list(space: str | None, form: str) -> None:  # noqa: A001 - the name of the command
    """List the blueprints, with all their versions."""
    with connect() as api:
        found = api.every("/blueprints", space=space, subtree=True if space else None)
    print_rows(found, _COLUMNS, form)


_COLUMNS = (
    Column("SPACE", key("space")),
    Column("NAME", key("name")),
    Column("VERSION", key("version")),
    Column("DESCRIPTION", key("description")),
)


@command.command()
@click.argument("blueprint")
@click.option("--version", metavar="VERSION", help="The blueprint's version. Default: the newest.")
@options.output
@options.common
def inputs(blueprint: str, version: str | None, form: str) -> None:
    """List the inputs of a blueprint."""
    with connect() as api:
        found = api.get(_path(api, blueprint), version=version)
    if form in {"json", "yaml"}:
        print_data(found, form)
        return
    click.echo(f"{found['space']}/{found['name']} version {found['version']} (of {', '.join(found['versions'])})\n")
    columns = (
        Column("NAME", key("name")),
        Column("TYPE", key("type")),
        Column("REQUIRED", key("required")),
        Column("DEFAULT", key("default")),
        Column("ALLOWED", _allowed),
        Column("DESCRIPTION", key("description")),
    )
    print_rows(found["inputs"], columns, form)


@command.command()
@click.argument("blueprint", required=False)
@click.option("--version", metavar="VERSION", help="The blueprint's version. Default: the newest.")
@click.option(
    "--input",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    help="An input; repeatable. A secret: NAME=file:SECRET.",
)
@click.option("-s", "--space", metavar="SPACE", help="The space of the instance. Default: the blueprint's space.")
@click.option("--name", metavar="NAME", default="example", show_default=True, help="The name of the instance.")
@click.option("--instance", metavar="SPACE/NAME", help="Print the documents of this existing instance instead.")
@options.common
def render(  # noqa: PLR0917
    blueprint: str | None,
    version: str | None,
    given: tuple[str, ...],
    space: str | None,
    name: str,
    instance: str | None,
) -> None:
    """Print the documents that an instance makes, as YAML, with secrets as references. Exits 1 on errors."""
    if (blueprint is None) == (instance is None):
        raise CliError("name either a BLUEPRINT, or an instance with --instance")
    with connect() as api:
        if instance is not None:
            found = api.get(f"/blueprint-instances{_quoted(instance)}/render")
        else:
            found = _tried(api, blueprint or "", version, given, {"space": space, "name": name})
    for document in found["documents"]:
        click.echo("---")
        print_data(document, "yaml")
    for each in found["diagnostics"]:
        hint = f" ({each['hint']})" if each["hint"] else ""
        click.echo(f"{each['severity']}: {each['summary']}{hint} [{each['code']}]", err=True)
    if found["diagnostics"]:
        raise CliError("these inputs make no valid documents")


@command.command()
@click.argument("blueprint")
@click.option("--version", metavar="VERSION", help="The blueprint's version. Default: the newest.")
@click.option(
    "--input",
    "given",
    metavar="NAME=VALUE",
    multiple=True,
    help="An input; repeatable. A secret: NAME=file:SECRET.",
)
@click.option("-s", "--space", metavar="SPACE", help="The space of the instance. Default: the blueprint's space.")
@click.option("--name", metavar="NAME", required=True, help="The name of the instance.")
@options.output
@options.common
def order(  # noqa: PLR0917
    blueprint: str, version: str | None, given: tuple[str, ...], space: str | None, name: str, form: str
) -> None:
    """Order an instance: the service commits it on a new branch, in your name. You then open the merge request.

    The same order again gives the same commit.
    """
    with connect() as api:
        path, wanted = _wanted(api, blueprint, version, given, {"space": space, "name": name})
        made = api.post(f"{path}/order", wanted)
    if form in {"json", "yaml"}:
        print_data(made, form)
        return
    click.echo(f"{made['space']}/{made['name']} is commit {made['commit'][:12]} on the branch {made['branch']}")
    where = f" at {made['link']}" if made["link"] else ""
    click.echo(f"open a merge request to {made['target']}{where}: once it is merged, the service makes it")


@options.add_command(command, options.output)
def orders(form: str) -> None:
    """List orders, newest first, and whether each is in force."""
    with connect() as api:
        found = api.every("/blueprint-orders")
    print_rows(found, _ORDERED, form)


_ORDERED = (
    Column("INSTANCE", lambda row: f"{row['space']}/{row['name']}"),
    Column("BLUEPRINT", lambda row: f"{row['blueprint']} {row['version']}"),
    Column("BY", key("person")),
    Column("BRANCH", key("branch")),
    Column("COMMIT", lambda row: row["commit"][:12]),
    Column("IN FORCE", lambda row: "yes" if row["inForce"] else "no"),
)


def _tried(
    api: Api, blueprint: str, version: str | None, given: tuple[str, ...], where: Mapping[str, Any]
) -> Mapping[str, Any]:
    path, wanted = _wanted(api, blueprint, version, given, where)
    answer: Mapping[str, Any] = api.post(f"{path}/render", wanted, changes=False)
    return answer


def _wanted(
    api: Api, blueprint: str, version: str | None, given: tuple[str, ...], where: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Return a blueprint's path, and what is asked of it."""
    path = _path(api, blueprint)
    declared = api.get(path, version=version)
    types = {each["name"]: each["type"] for each in declared["inputs"]}
    values = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise CliError(f"--input {text}: write NAME=VALUE")
        values[key] = value_of(types.get(key), value)
    return path, {"version": declared["version"], "inputs": values, **where}


def _path(api: Api, text: str) -> str:
    if "/" in text:
        return f"/blueprints{_quoted(text)}"
    found = sorted({f"{item['space']}/{item['name']}" for item in api.every("/blueprints") if item["name"] == text})
    if not found:
        raise CliError(f"there is no blueprint {text}")
    if len(found) > 1:
        raise CliError(f"several blueprints are named {text}: write {' or '.join(found[:5])}")
    return f"/blueprints/{found[0]}"


def _quoted(text: str) -> str:
    space, _, name = text.partition("/")
    if not space or not name:
        raise CliError(f"{text}: write space/name")
    return f"/{quote(space, safe='')}/{quote(name, safe='')}"


def _allowed(row: Mapping[str, Any]) -> str:
    limits = [f"{word} {row[key]:g}" for key, word in (("min", "from"), ("max", "to")) if row[key] is not None]
    return ", ".join(filter(None, [row["pattern"], "|".join(row["options"]), " ".join(limits)]))
