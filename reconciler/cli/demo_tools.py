"""The demo's scene with a stack of each tool that is here: each takes a value of the one before, and hands on its own.

None of them needs anything but its tool: no provider, no cloud, no account. Kubernetes needs a cluster, which is never
started here: whoever plays the demo may name one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.demo_stage import ADMIN, DemoStage

if TYPE_CHECKING:
    from reconciler.bootstrap import Service

SPACE = "relay"
_CODE = """\
variable "baton" {
  type = string
}

resource "terraform_data" "baton" {
  input = "${var.baton} > NAME"
}

output "baton" {
  value = terraform_data.baton.output
}
"""
_PROGRAM = "name: relay\nruntime: yaml\nconfig:\n  baton:\n    type: string\noutputs:\n  baton: ${baton} > pulumi\n"
_CONFIGURE = 'printf \'config:\\n  relay:baton: "%s"\\n\' "$BATON" > Pulumi.demo.yaml'
_PLAYBOOK = """\
- name: Hand it on
  hosts: all
  gather_facts: false
  tasks:
    - name: Write the outputs
      ansible.builtin.copy:
        content: "{{ {'baton': lookup('env', 'BATON') ~ ' > ansible'} | to_json }}"
        dest: "{{ lookup('env', 'STATION_OUTPUTS') }}"
        mode: "0600"
"""
_HERE = "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'"
_TEMPLATE = {
    "Parameters": {"Baton": {"Type": "String"}},
    "Resources": {
        "Baton": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": "/relay/baton", "Type": "String", "Value": {"Ref": "Baton"}},
        }
    },
}


_NAMESPACE = "station-demo"
_MAKE = """printf '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "baton"}, \
"data": {"baton": "%s > kubernetes"}}' "$BATON" > baton.yaml"""
_HAND_ON = (
    f'printf \'{{"baton": "%s"}}\' "$(kubectl --namespace={_NAMESPACE} get configmap baton '
    '--output=jsonpath={.data.baton})" > "$STATION_OUTPUTS"'
)


@dataclass(frozen=True, slots=True)
class Runner:
    """One stack of the relay. `takes` is the variable by which it gets the value of the one before."""

    tool: str
    takes: str
    files: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Programs beside the tool's own."""


_KUBERNETES = Runner(
    "kubernetes",
    "BATON",
    {"namespace.yaml": f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {_NAMESPACE}}}\n"},
    {
        "kubernetes": {"namespace": _NAMESPACE},
        "env": {"KUBECONFIG": "kubeconfig"},
        "files": {"kubeconfig": {"file": "cluster"}},
        "hooks": {"before": {"init": [_MAKE]}, "after": {"apply": [_HAND_ON]}},
    },
)


def relay(stage: DemoStage, service: Service) -> None:
    """Play the scene with the tools that are here, and say which are not."""
    stage.scene("One stack for each tool", "each takes an output of the one before it, and hands on its own")
    lacking = {runner.tool: _lacks(stage, runner) for runner in _all(_below(stage))}
    runners = [runner for runner in _all(_below(stage)) if not lacking[runner.tool]]
    if stage.kubeconfig is not None:
        lacking["kubernetes"] = _lacks(stage, _KUBERNETES)
        if not lacking["kubernetes"] and _keep_kubeconfig(stage, stage.kubeconfig):
            runners.append(_KUBERNETES)
            stage.tell(f"the namespace {_NAMESPACE} that this makes stays in the cluster")
    with _cloud() if _has_cloud() else nullcontext() as cloud:
        if cloud is not None:
            runners.append(_cloudformation(cloud))
        _write(stage, runners)
        stage.commit("Run a relay", ADMIN)
        stage.reconcile(service)
    stage.tell(f"the last output: {_last_output(service, runners)}")
    absent = {
        tool: f"no {' and no '.join(programs)} on the search path" for tool, programs in lacking.items() if programs
    }
    if cloud is None:
        absent["cloudformation"] = "no server here that answers as AWS does: pip install botocore moto[server]"
    if stage.kubeconfig is None:
        absent["kubernetes"] = "it needs a cluster: name one with --kubeconfig"
    for tool, why in absent.items():
        stage.tell(f"left out: {tool} ({why})")


def _all(below: str) -> Iterator[Runner]:
    yield Runner("script", "BATON", spec={"script": {"apply": "true", "outputs": 'echo \'{"baton": "script"}\''}})
    for tool in ("terraform", "opentofu"):
        yield Runner(tool, "TF_VAR_baton", {"main.tf": _CODE.replace("NAME", tool)})
    unit = {"main.tf": _CODE.replace("NAME", "terragrunt"), "terragrunt.hcl": "# A unit of its own.\n"}
    needs = ("tofu" if below == "opentofu" else "terraform",)
    yield Runner("terragrunt", "TF_VAR_baton", unit, {"terragrunt": {"tool": below}}, needs)
    settings = {"pulumi": {"stack": "demo"}, "hooks": {"before": {"init": [_CONFIGURE]}}}
    yield Runner("pulumi", "BATON", {"Pulumi.yaml": _PROGRAM}, settings, ("pulumi-language-yaml",))
    play = {"ansible": {"playbook": "site.yml", "inventory": {"text": _HERE}}}
    yield Runner("ansible", "BATON", {"site.yml": _PLAYBOOK}, play)


def _last_output(service: Service, runners: Sequence[Runner]) -> str:
    """Return what the last runner that hands something on has handed on."""
    from spaces.names import SpaceName, StackId

    with service.store.reading() as reading:
        for runner in reversed(runners):
            for output in reading.outputs(StackId(SpaceName(SPACE), runner.tool)):
                return str(output.value)
    return "none"


def _keep_kubeconfig(stage: DemoStage, file: Path) -> bool:
    """Put a kubeconfig, with all files that it names, among the secrets of the space; False: it cannot be read."""
    command = ["kubectl", "--kubeconfig", str(file), "config", "view", "--raw", "--flatten", "--minify"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        stage.progress.warn(f"{file} cannot be used: {done.stderr.decode(errors='replace').strip()}")
        return False
    kept = stage.scratch / "secrets" / SPACE / "cluster"
    kept.parent.mkdir(mode=0o700, parents=True)
    kept.touch(mode=0o600)
    kept.write_bytes(done.stdout)
    return True


def _below(stage: DemoStage) -> str:
    return "opentofu" if shutil.which("tofu", path=stage.settings.search_path) else "terraform"


def _lacks(stage: DemoStage, runner: Runner) -> list[str]:
    """Return the programs that this runner needs and that are not here."""
    from reconciler.tools.registry import tool

    needed = (*tool(runner.tool).binaries[:1], *runner.needs)
    return [name for name in needed if shutil.which(name, path=stage.settings.search_path) is None]


def _cloudformation(url: str) -> Runner:
    settings = {"stackName": "relay", "region": "eu-central-1", "template": "template.json", "endpointUrl": url}
    spec = {"cloudformation": settings, "env": {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"}}
    return Runner("cloudformation", "CF_PARAM_Baton", {"template.json": json.dumps(_TEMPLATE)}, spec)


def _has_cloud() -> bool:
    return all(find_spec(name) is not None for name in ("botocore", "moto", "flask"))


@contextmanager
def _cloud() -> Iterator[str]:
    """Start a server that answers as AWS does, as long as the scene lasts."""
    import logging
    from importlib import import_module

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = import_module("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield f"http://localhost:{server.get_host_and_port()[1]}"
    finally:
        server.stop()


def _write(stage: DemoStage, runners: Sequence[Runner]) -> None:
    """Write the space and its stacks."""
    place = stage.repository / SPACE
    head = "apiVersion: stationkeeper/v1\nkind: {}\nmetadata: {}\nspec: {}\n".format
    before: str | None = None
    for runner in runners:
        folder = place / runner.tool
        folder.mkdir(parents=True)
        for name, text in runner.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        spec = {"tool": runner.tool, **runner.spec}
        if runner.files:
            spec["source"] = {"path": f"./{runner.tool}"}
        if before is not None:
            spec["dependsOn"] = [{"stack": before, "outputs": {"baton": runner.takes}}]
        metadata = json.dumps({"name": runner.tool})
        (place / f"{runner.tool}.yaml").write_text(head("Stack", metadata, json.dumps(spec)), encoding="utf-8")
        before = runner.tool
    space = json.dumps({"name": SPACE, "description": "A stack of each tool that is here."})
    (place / "space.yaml").write_text(head("Space", space, "{}"), encoding="utf-8")
