"""Runs the stacks of `examples/integrations` against a token service on this machine, and says who each phase was.

`make demo-clouds` starts it. Nothing leaves the machine: the commands of the examples' stacks are replaced by a program
that gets credentials with the cloud's own library, whose last step leads to that service. The service checks each token
as a cloud does, by the keys that the issuer publishes.
"""

# ruff: noqa: T201

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from reconciler.bootstrap import open_service
from reconciler.core.runs import RunStatus
from reconciler.loop.service import utc_now
from reconciler.operations import confirm
from reconciler.settings import Settings
from reconciler.store.stored import RunFilter
from tests.e2e.station import Repo
from tests.tools.sts import Sts

ISSUER = "https://station.example.com"
EXAMPLES = Path(__file__).parents[2] / "examples" / "integrations"
PROGRAM = (Path(__file__).parent / "credentials.py").read_text(encoding="utf-8")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="station-clouds-") as scratch:
        return run(Path(scratch))


def run(scratch: Path) -> int:
    settings = Settings(
        config_url=f"file://{scratch / 'config'}",
        data_dir=scratch / "data",
        listen="127.0.0.1:0",
        issuer_url=ISSUER,
        tool_path=f"{sys.prefix}/bin:{sys.prefix}:{sys.base_prefix}",
        require_sandbox=False,
    )
    documents = [each for path in sorted(EXAMPLES.glob("*.yaml")) for each in YAML(typ="safe").load_all(path)]
    clouds = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "CloudIntegration"}
    repo = Repo(scratch / "config", {"README.md": "empty"})
    told = scratch / "told"
    with open_service(settings, port=0) as service, Sts(ISSUER, service.server.url(), _trust(clouds)) as sts:
        files = {f"{n}.yaml": json.dumps(_led(each, sts.url, told)) for n, each in enumerate(documents)}
        repo.commit(files)
        service.loop.reconcile()
        with service.store.reading() as reading:
            waiting = reading.list_runs(RunFilter(statuses={RunStatus.UNCONFIRMED}), None, 10)
        for each in waiting:
            confirm(service.store, each.id, "you", utc_now())
        service.loop.reconcile()
        lines = [line.split(" ", 2) for line in told.read_text().splitlines()] if told.exists() else []
        lines.sort(key=lambda line: (line[0], line[1] != "plan"))
        for stack, phase, name in lines:
            opened = sts.opened.get(name)
            who = f"{opened.identity}\n{'':32}by {opened.claims['sub']}" if opened else name
            print(f"{stack:24} {phase:6} is {who}")
        service.server.stop()
        service.loop.dispatcher.close()
    return 0 if len(lines) == 2 * len(clouds) and all(line[2] in sts.opened for line in lines) else 1


def _trust(clouds: dict[str, dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return what one would set up in the clouds: who may become whom."""
    found: dict[str, tuple[str, str]] = {}
    for spec in clouds.values():
        audience = {"aws": "sts.amazonaws.com", "azure": "api://AzureADTokenExchange"}.get(spec["provider"], "")
        found[spec.get("audience", "")] = spec.get("audience", ""), "space:root:*"
        for phase in ("plan", "apply"):
            (identity,) = spec[phase].values()
            found[identity] = audience, f"space:root:*phase:{phase}"
    return found


def _led(document: dict[str, Any], url: str, told: Path) -> dict[str, Any]:
    """Let a stack's commands get credentials, and note whose they are."""
    if document["kind"] == "Stack":
        cloud = document["metadata"]["name"].partition("-")[0]
        program = f"{shlex.quote(sys.executable)} credentials.py {cloud}"
        note = f'echo "$STATION_STACK $STATION_PHASE $({program})" >> {told}'
        document["spec"]["script"] = {"plan": f"{note}; exit 2", "apply": note}
        document["spec"]["files"] = {"credentials.py": PROGRAM}
        document["spec"]["env"] = {"STS_URL": url, "AWS_ENDPOINT_URL_STS": url}
    return document


if __name__ == "__main__":
    sys.exit(main())
