"""Every other tool with a program of its own: a small stack, from nothing to Synced, against the bare commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.contest import Peer
from bench.contest import measure as contest
from bench.harness import Figure
from bench.terraform import CODE, ENV
from bench.terraform import peer as same_as_terraform
from tests.tools.cluster import missing, running_cluster

ROUNDS = 5
UNITS = 30
_PULUMI = {"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_HOME": "../pulumi"}
_PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.copy: {content: "%d\\n", dest: "%s", mode: "0644"}
"""


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure each tool that is here, and say which are not."""
    if shutil.which("tofu") is None:
        print("tofu is not here: skipped")
    else:
        (scratch / "tofu").mkdir()
        with same_as_terraform("tofu", "opentofu") as peer:
            yield from contest(scratch / "tofu", peer, ROUNDS)
    for number, (programs, peer) in enumerate(_peers(scratch)):
        lacking = [name for name in programs if shutil.which(name) is None]
        if lacking:
            print(f"{peer.name}: {', '.join(lacking)} is not here: skipped")
            continue
        place = scratch / str(number)
        place.mkdir()
        yield from contest(place, peer, ROUNDS)
    if missing():
        print(f"kubernetes: {', '.join(missing())} is not here: skipped")
        return
    with _kubernetes(scratch) as peer:
        yield from contest(scratch / "kubernetes", peer, ROUNDS)


def _peers(scratch: Path) -> Iterator[tuple[tuple[str, ...], Peer]]:
    yield ("terragrunt", "tofu"), _unit(scratch)
    yield ("terragrunt", "tofu"), _units(scratch)
    yield ("pulumi", "pulumi-language-yaml"), _pulumi()
    yield ("ansible-playbook",), _ansible(scratch)


_TERRAGRUNT = {**ENV, "TG_NON_INTERACTIVE": "true", "TG_NO_COLOR": "true", "TG_TF_PATH": "tofu", "TG_NO_TIPS": "true"}


def _backend(scratch: Path, number: int) -> str:
    place = f"{scratch}/tfstates/{number}/${{path_relative_to_include()}}.tfstate"
    return (
        'remote_state {\n  backend  = "local"\n  generate = { path = "backend.tf", if_exists = "overwrite" }\n'
        f'  config   = {{ path = "{place}" }}\n}}\n'
    )


def _run(*words: str) -> tuple[str, ...]:
    return ("terragrunt", "run", "--", *words)


def _unit(scratch: Path) -> Peer:
    return Peer(
        "terragrunt, one unit of 100 resources",
        "terragrunt",
        lambda number: {
            "main.tf": CODE % number,
            "terragrunt.hcl": _backend(scratch, number).replace("_to_include", "_from_include"),
        },
        lambda _: (
            _run("init", "-input=false", "-no-color"),
            _run("plan", "-input=false", "-no-color", "-out=plan"),
            _run("show", "-json", "plan"),
            _run("apply", "-input=false", "-no-color", "plan"),
            _run("state", "pull"),
        ),
        env=_TERRAGRUNT,
        against="run init, plan, show, apply, state pull",
    )


def _units(scratch: Path) -> Peer:
    def files(number: int) -> Mapping[str, str]:
        code = (
            f'resource "terraform_data" "it" {{\n  input = "{number}"\n}}\n'
            'output "it" {\n  value = terraform_data.it.output\n}\n'
        )
        unit = 'include "root" {\n  path = find_in_parent_folders("root.hcl")\n}\n'
        units = {
            f"unit-{at}/{name}": text
            for at in range(UNITS)
            for name, text in (("main.tf", code), ("terragrunt.hcl", unit))
        }
        return {"root.hcl": _backend(scratch, number), **units}

    all_of = ("terragrunt", "run", "--all")
    return Peer(
        f"terragrunt, runAll of {UNITS} units",
        "terragrunt",
        files,
        lambda _: (
            (*all_of, "--out-dir=../plans", "--json-out-dir=../shown", "--", "plan", "-input=false", "-no-color"),
            (*all_of, "--out-dir=../plans", "--", "apply", "-input=false", "-no-color"),
            (*all_of, "--", "state", "pull"),
        ),
        lambda _: {"terragrunt": {"runAll": True}},
        env=_TERRAGRUNT,
        against="run --all plan, apply, state pull",
        longer=1.2,
    )


def _pulumi() -> Peer:
    stack, quiet = ("--stack", "it"), ("--non-interactive", "--color", "never")
    return Peer(
        "pulumi, a program in YAML",
        "pulumi",
        lambda number: {"Pulumi.yaml": f"name: bench\nruntime: yaml\noutputs:\n  greeting: hello {number}\n"},
        lambda _: (
            ("mkdir", "-p", "../state"),
            ("pulumi", "stack", "select", *stack, "--create", *quiet),
            ("pulumi", "preview", "--refresh", *stack, "--save-plan", "../plan", "--json", *quiet),
            ("pulumi", "up", *stack, "--yes", "--skip-preview", "--refresh", "--plan", "../plan", *quiet),
            ("pulumi", "stack", "output", *stack, "--json", "--show-secrets", *quiet),
        ),
        lambda _: {"pulumi": {"stack": "it"}},
        env={**_PULUMI, "PULUMI_BACKEND_URL": "file://../state"},
        against="stack select, preview, up, stack output",
    )


def _ansible(scratch: Path) -> Peer:
    inventory = "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n"
    play = ("ansible-playbook", "--inventory=hosts", "--", "site.yml")
    return Peer(
        "ansible, one task",
        "ansible",
        lambda number: {"site.yml": _PLAYBOOK % (number, scratch / f"made-{number}"), "hosts": inventory},
        lambda _: (("ansible-playbook", "--check", "--diff", *play[1:]), play),
        lambda _: {"ansible": {"playbook": "site.yml", "inventory": "hosts"}},
        against="ansible-playbook --check --diff, ansible-playbook",
    )


@contextmanager
def _kubernetes(scratch: Path) -> Iterator[Peer]:
    def files(number: int) -> Mapping[str, str]:
        things = (
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: thing-{at}}}\ndata: {{text: it}}\n" for at in range(10)
        )
        space = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: bench{number}}}\n"
        return {"space.yaml": space, "things.yaml": "---\n".join(things)}

    (scratch / "kubernetes").mkdir()
    (scratch / "cluster").mkdir()
    with running_cluster(scratch / "cluster") as cluster:

        def bare(number: int) -> tuple[tuple[str, ...], ...]:
            kubectl = ("kubectl", "--kubeconfig", str(cluster.kubeconfig), f"--namespace=bench{number}")
            apply = ("apply", "--server-side", "--output=json")
            get = ("get", "--filename=.", "--ignore-not-found", "--output=json")
            # The apply also writes the inventory: it lists the objects that the run is about to make.
            first = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: list}\n"
            make_list = f"{{ cat space.yaml; echo ---; printf '{first}'; }} > ../first.yaml"
            return (
                ("sh", "-c", make_list),
                (*kubectl, "patch", "--local", "--patch={}", "--recursive", "--filename=.", "--output=json"),
                (*kubectl, "api-resources"),
                (*kubectl, *get, "--show-managed-fields"),
                (*kubectl, *apply, "--filename=space.yaml", "--dry-run=server"),
                (*kubectl, *get, "--show-managed-fields"),
                (*kubectl, *apply, "--filename=../first.yaml"),
                (*kubectl, *apply, "--filename=things.yaml"),
                (*kubectl, *get, "--show-managed-fields"),
            )

        yield Peer(
            "kubernetes, a namespace and 10 objects",
            "kubernetes",
            files,
            bare,
            lambda number: {
                "kubernetes": {"namespace": f"bench{number}"},
                "env": {"KUBECONFIG": str(cluster.kubeconfig)},
            },
            against="kubectl patch --local, api-resources, get, apply --dry-run, get, apply, apply, get",
        )
