"""A terraform stack of 100 resources, from nothing to Synced, against the bare commands in such a directory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.contest import Peer
from bench.contest import measure as contest
from bench.harness import Figure

ROUNDS = 7
CODE = """\
resource "terraform_data" "item" {
  count = 100
  input = "item ${count.index} of %d"
}

output "first" {
  value = terraform_data.item[0].output
}
"""
ENV = {"TF_CLI_CONFIG_FILE": "/dev/null", "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}


def commands(binary: str) -> tuple[tuple[str, ...], ...]:
    """Return the commands that somebody types who does without the service."""
    return (
        (binary, "init", "-input=false", "-no-color"),
        (binary, "plan", "-input=false", "-no-color", "-out=plan"),
        (binary, "show", "-json", "plan"),
        (binary, "apply", "-input=false", "-no-color", "plan"),
    )


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure; the service stores the tfstate, the bare commands keep it in a file."""
    if shutil.which("terraform") is None:
        print("terraform is not installed: skipped")
        return
    peer = Peer(
        "terraform, 100 resources",
        "terraform",
        lambda number: {"main.tf": CODE % number},
        lambda _: commands("terraform"),
        env=ENV,
        against="init, plan, show, apply",
    )
    yield from contest(scratch, peer, ROUNDS)
