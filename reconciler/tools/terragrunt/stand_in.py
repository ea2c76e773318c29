"""A script that Terragrunt starts in the place of the tool below, and that knows in which unit it is.

With `run --all` Terragrunt starts the tool for many units at once, each in the directory of its code. What one unit
prints cannot be told from what others print at the same time, so the script writes each tfstate that is pulled into a
file of its own. Then it becomes the tool, which signals reach like that.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.tools.base import ToolJob
from reconciler.tools.files import write_scratch
from reconciler.tools.terraform.backend import SEEN
from reconciler.tools.terragrunt.command import environment
from reconciler.tools.terragrunt.kept import CACHE

PULLED = "STATION_PULLED"
"""The variable that names the directory for tfstates that are pulled."""


def write_stand_in(job: ToolJob, units: Sequence[str]) -> Mapping[str, str]:
    """Write the script, which knows the units by their paths, and return the variable that names it."""
    script = job.scratch / "tool-of-a-unit"
    write_scratch(script, _script(job, units).encode(errors="surrogateescape"))
    script.chmod(0o700)
    return {"TG_TF_PATH": str(script)}


def _script(job: ToolJob, units: Sequence[str]) -> str:
    tool = job.env.get("TG_TF_PATH") or environment(job)["TG_TF_PATH"]
    places = "".join(
        f"{shlex.quote(top)}) unit=. ;;\n{shlex.quote(top)}/*) unit=${{PWD#{shlex.quote(top)}/}} ;;\n"
        for top in dict.fromkeys(_tops(job))
    )
    numbers = "".join(f"{shlex.quote(unit)}) number={number} ;;\n" for number, unit in enumerate(units))
    return f"""#!/bin/sh
tool={shlex.quote(tool)}
unit= number=
cd -P . || exit
case $PWD in
{places}esac
case $unit in
{CACHE}/*) unit=. ;;
*/{CACHE}/*) unit=${{unit%%/{CACHE}/*}} ;;
esac
case $unit in
{numbers}esac
if [ -n "${PULLED}" ] && [ "$1 $2" = "state pull" ]; then
  exec "$tool" "$@" >"${PULLED}/$number"
fi
exec "$tool" "$@"
"""


def _tops(job: ToolJob) -> tuple[str, ...]:
    """Return where the job's directory may be for the script: where commands in a sandbox see it, or where it is."""
    top = Path(os.path.commonpath([job.directory, job.scratch]))
    return str(SEEN / job.directory.relative_to(top)), str(job.directory)
