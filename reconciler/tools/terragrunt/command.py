"""Terragrunt's command lines and environment, the same for one unit and for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.tools.base import Do, ToolJob
from reconciler.tools.terraform import provider_cache
from reconciler.tools.terraform.scratch import cli_config

UNIT = "terragrunt.hcl"
"""The file that makes a directory a unit."""
READING = ("--no-auto-init", "--log-level", "error")
"""Flags for commands that only read what the one before left: Terragrunt would initialise many units once more.

It would also warn that it does not.
"""
_BELOW = {"opentofu": "tofu", "terraform": "terraform"}


def below(job: ToolJob) -> str:
    """Return the name of the tool that Terragrunt runs."""
    return job.options.get("tool") or "opentofu"


def terragrunt(job: ToolJob, *words: str) -> Sequence[str]:
    """Return a command of Terragrunt's own: `terragrunt stack generate`."""
    return (job.binary, *words)


def run(job: ToolJob, *words: str, flags: Sequence[str] = ()) -> Sequence[str]:
    """Return a command of the tool below, run by Terragrunt: `terragrunt run -- plan`."""
    return (job.binary, "run", *flags, "--", *words)


def environment(job: ToolJob) -> dict[str, str]:
    """Return what Terragrunt and the tool below are told; what a document sets itself holds."""
    chosen = {
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        "TG_NON_INTERACTIVE": "true",
        "TG_NO_COLOR": "true",
        "TG_NO_TIPS": "true",
        # Its own lines beside those of the tool, without a colour or a time: the log has one of its own.
        "TG_LOG_FORMAT": "key-value",
        "TG_TF_PATH": _BELOW[below(job)],
        "TF_CLI_CONFIG_FILE": str(cli_config(job)),
    }
    if provider_cache.names_a_mirror(job.cli_config):
        # Units that link providers of a mirror into one directory at the same time take them away from each other.
        chosen["TG_NO_AUTO_PROVIDER_CACHE_DIR"] = "true"
    return {name: value for name, value in chosen.items() if name not in job.env}


def printed(job: ToolJob, do: Do, command: Sequence[str], env: Mapping[str, str], name: str) -> Path:
    """Run a command whose standard output is its result, and return the file that holds it."""
    file = job.scratch / name
    do(command, env={**env, "TG_TF_FORWARD_STDOUT": "true"}, stdout=file, shown=False)
    return file
