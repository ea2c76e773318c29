"""A script that Terragrunt starts in the place of the tool below, and that knows in which unit it is.

With `run --all` Terragrunt starts the tool for many units at once, each in the directory of its code. What one unit
prints cannot be told from what others print at the same time, so the script writes each tfstate that is pulled into a
file of its own. To a unit that names no backend it gives the address of the unit's managed tfstate, which is in a query
behind the stack's. Then it becomes the tool, which signals reach like that.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from reconciler.tools.base import TfstateBackend, ToolJob
from reconciler.tools.files import fresh_directory, write_scratch
from reconciler.tools.terraform.backend import SEEN, http_backend
from reconciler.tools.terragrunt.command import UNIT, environment
from reconciler.tools.terragrunt.kept import CACHE

PULLED = "STATION_PULLED"
"""The variable that names the directory for tfstates that are pulled."""
_USERNAME, _PASSWORD = "STATION_TFSTATE_USERNAME", "STATION_TFSTATE_PASSWORD"


def managed_units(job: ToolJob) -> list[str]:
    """Return the units whose tfstate the service keeps, by their paths: those that name no backend."""
    units = list(job.facts.get("unkept") or ())
    if (job.directory / UNIT).is_file() and job.facts.get("backend") == "managed":
        units.insert(0, ".")
    return units


def write_stand_in(job: ToolJob, units: Sequence[str] = ()) -> Mapping[str, str]:
    """Write the script, and return the variables that make Terragrunt start it.

    The tfstates that are pulled of the units, named by their paths, get their numbers in that order.
    """
    tool = job.env.get("TG_TF_PATH") or environment(job)["TG_TF_PATH"]
    # By the same name, which Terragrunt shows.
    script = fresh_directory(job.scratch / "unit") / Path(tool).name
    write_scratch(script, _script(job, tool, units).encode(errors="surrogateescape"))
    script.chmod(0o700)
    told = {"TG_TF_PATH": str(script)}
    if job.tfstate is not None:
        told |= {_USERNAME: job.tfstate.username, _PASSWORD: job.tfstate.password}
    return told


def _script(job: ToolJob, tool: str, units: Sequence[str]) -> str:
    places = "".join(
        f"{shlex.quote(top)}) unit=. ;;\n{shlex.quote(top)}/*) unit=${{PWD#{shlex.quote(top)}/}} ;;\n"
        for top in dict.fromkeys(_tops(job))
    )
    numbers = "".join(f"{shlex.quote(unit)}) number={number} ;;\n" for number, unit in enumerate(units))
    queries = "".join(f"{shlex.quote(unit)}) query={_query(unit)} ;;\n" for unit in managed_units(job))
    return f"""#!/bin/sh
tool={shlex.quote(tool)}
unit= number= query=
cd -P . || exit
case $PWD in
{places}esac
case $unit in
{CACHE}/*) unit=. ;;
*/{CACHE}/*) unit=${{unit%%/{CACHE}/*}} ;;
esac
case $unit in
{numbers}esac
case $unit in
{queries}esac
{_way_to_tfstate(job)}if [ -n "${PULLED}" ] && [ "$1 $2" = "state pull" ]; then
  exec "$tool" "$@" >"${PULLED}/$number"
fi
exec "$tool" "$@"
"""


def _query(unit: str) -> str:
    return shlex.quote(f"?unit={quote(unit, safe='')}")


def _way_to_tfstate(job: ToolJob) -> str:
    if job.tfstate is None:
        return ""
    # The values are words of the shell, each in double quotes.
    told = http_backend(TfstateBackend("$address", f"${_USERNAME}", f"${_PASSWORD}"))
    exports = "".join(f'  export {name}="{value}"\n' for name, value in told.items())
    return f'if [ -n "$query" ]; then\n  address={shlex.quote(job.tfstate.address)}$query\n{exports}fi\n'


def _tops(job: ToolJob) -> tuple[str, ...]:
    """Return where the job's directory may be for the script: where commands in a sandbox see it, or where it is."""
    top = Path(os.path.commonpath([job.directory, job.scratch]))
    return str(SEEN / job.directory.relative_to(top)), str(job.directory)
