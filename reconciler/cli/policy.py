"""`station policy …`: tests policies without a service, and records their input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.client import connect
from reconciler.cli.completing import run_argument
from reconciler.cli.output import Column, key, print_data, print_rows


@options.group("policy")
def command() -> None:
    """Test policies on recorded inputs, and record the input of a run."""


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "inputs",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    required=True,
    metavar="FILE",
    help="A recorded input, as JSON or YAML, or for policies over documents a file of these; repeatable.",
)
@click.option("--policy", "name", metavar="NAME", help="Only this policy from the file.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["plan", "approval", "push", "notification", "config"]),
    default="plan",
    help="The type of a bare .rego file. Default: plan.",
)
@click.option(
    "--expect", type=click.Choice(["allow", "deny"]), help="The result expected of every policy for every input."
)
@options.output
@click.pass_context
def test(  # noqa: PLR0917
    ctx: click.Context, path: Path, inputs: tuple[Path, ...], name: str | None, kind: str, expect: str | None, form: str
) -> None:
    """Evaluate the policies in PATH, a YAML or .rego file, on recorded inputs. No service is needed.

    Exit codes: 0 everything is allowed; 2 something is denied or held back; 1 a policy or an input is broken. With
    --expect, or with `expect` in an input: 0 every result is as expected; 2 some result is not.
    """
    # Everything that evaluates policies is slow to import.
    from reconciler.cli.policy_test import load_inputs, load_policies, tried

    policies = load_policies(path, name, kind)
    rows: list[dict[str, Any]] = []
    for file in inputs:
        for recorded in load_inputs(file):
            rows += tried(policies, recorded, str(file), expect)
    columns = (
        Column("POLICY", key("policy")),
        Column("INPUT", key("input")),
        Column("RESULT", key("result")),
        Column("EXPECTED", lambda row: {None: "", True: "yes", False: f"no: {row['unexpected']}"}[row["asExpected"]]),
        Column("MESSAGES", lambda row: "; ".join([*row["messages"], *row["warnings"]])),
    )
    print_rows(rows, columns, form)
    ctx.exit(_exit_code(rows))


@command.command()
@run_argument()
@options.common
def sample(run: str) -> None:
    """Print the policy input of a run, for `station policy test`. Add an `expect` to it to make it a test."""
    with connect() as api:
        found = api.get(f"{api.run(run)}/policy-input")
    print_data(found, "json")


def _exit_code(rows: list[dict[str, Any]]) -> int:
    if any(row["error"] for row in rows):
        return 1
    stands = (row["asExpected"] is False or (row["asExpected"] is None and not row["allowed"]) for row in rows)
    return 2 if any(stands) else 0
