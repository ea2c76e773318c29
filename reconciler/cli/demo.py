"""`station demo`: a complete example on the embedded defaults, in a scratch directory.

The command makes a repository, two people and a service, then plays one scene after another. Every scene is a real
commit and a real pass of the service; nothing is simulated. Each leaves the repository and the stacks as the next one
needs them.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.demo_stage import ADMIN, OWN, WRITER, DemoStage, document
from reconciler.cli.demo_time import leaves, pinned, repair, too_many
from reconciler.cli.demo_tools import SPACE, relay
from reconciler.cli.errors import CliError

if TYPE_CHECKING:
    from rich.console import Console

    from reconciler.bootstrap import Service
    from reconciler.settings import Settings

_FLEET = "/var/tmp/stationkeeper-example"  # noqa: S108 - written in the example; replaced before anything runs


@click.command("demo", context_settings=options.CONTEXT)
@click.option("--serve", is_flag=True, help="Keep running afterwards and serve the page on the demo's data.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="An empty directory to work in. Default: a new temporary one.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Also run a stack in this cluster. It makes the namespace station-demo, which stays there.",
)
@click.pass_context
def command(ctx: click.Context, /, *, serve: bool, directory: Path | None, kubeconfig: Path | None) -> None:
    """Show a complete example: a repository, merges, what runs and why, what is stopped or held, and a repair."""
    from rich.console import Console

    from reconciler.settings import Settings

    console = Console(highlight=False)
    scratch = _scratch(directory)
    settings = Settings(
        config_url=(scratch / "repository").as_uri(),
        data_dir=scratch / "data",
        parallelism=4,
        # Nothing here is secret, and everybody should see it.
        require_sandbox=False,
        grace_period=10,
        admins=(ADMIN,),
        secrets_dir=None if kubeconfig is None else scratch / "secrets",
    )
    stage = DemoStage(console, scratch, settings)
    stage.kubeconfig = kubeconfig
    _play(stage)
    _say_what_to_look_at(console, settings, serving=serve)
    if serve:
        from reconciler.cli.serve import command as serve_command

        flags: dict[str, object] = {
            "config_url": settings.config_url,
            "poll_interval": 2.0,
            "admins": ADMIN,
            "require_sandbox": False,
        }
        if settings.secrets_dir is not None:
            flags["secrets_dir"] = settings.secrets_dir
        ctx.ensure_object(options.Common).data_dir = settings.data_dir
        ctx.invoke(serve_command, **flags)


def _play(stage: DemoStage) -> None:
    """Play all scenes."""
    started = time.monotonic()
    _make_repository(stage)
    with stage.service() as service:
        _first_pass(stage, service)
        _one_line(stage, service)
        _unrelated(stage, service)
        _output(stage, service)
        _stopped(stage, service)
        _blueprint(stage, service)
        _secret(stage, service)
        _held(stage, service)
        _why(stage, service)
        repair(stage, service)
        pinned(stage, service)
        leaves(stage, service)
        too_many(stage, service)
        relay(stage, service)
        _waits(stage, service)
    _say_what_next(stage, time.monotonic() - started)


def _make_repository(stage: DemoStage) -> None:
    from reconciler.git.authoring import commit_all

    stage.scene("A configuration repository", "spaces, stacks and contexts as YAML, next to the code they run")
    shutil.copytree(_example(), stage.repository)
    for path in stage.repository.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(_FLEET, str(stage.fleet)), encoding="utf-8")
    stage.fleet.mkdir()
    (stage.repository / "people.yaml").write_text(_people(stage), encoding="utf-8")
    revision = commit_all(stage.repository, "Start from the example", stage.pens[ADMIN])
    stage.tell(f"{stage.repository} has its first commit, {revision[:12]}, signed by {ADMIN}")
    stage.tell(f"{ADMIN} is admin by the service's settings; {WRITER} is writer in the space {OWN}")
    for tool in stage.missing_tools():
        stage.progress.warn(
            f"{tool} is not installed here: its stacks report that, and the demo continues with the others"
        )


def _first_pass(stage: DemoStage, service: Service) -> None:
    stage.scene("The first reconciliation", "every stack is new, so every stack runs")
    stage.reconcile(service)
    stage.show_stacks(service)


def _one_line(stage: DemoStage, service: Service) -> None:
    stage.scene("A one-line change", "only the stack that it affects runs, and it says why")
    path = stage.repository / "shop" / "status-page.yaml"
    stage.merge(path, "The shop is open", "The shop opens at eight", "Say when the shop opens")
    stage.reconcile(service)


def _unrelated(stage: DemoStage, service: Service) -> None:
    stage.scene("A change that affects no stack", "nothing runs")
    path = stage.repository / "README.md"
    stage.merge(path, "# An example configuration", "# Our configuration", "Improve the title")
    stage.reconcile(service)


def _output(stage: DemoStage, service: Service) -> None:
    if "terraform" in stage.missing_tools():
        return
    stage.scene("An output that another stack uses", "the dependent stack runs after the one it depends on")
    path = stage.repository / "platform" / "network.yaml"
    stage.merge(
        path, "TF_VAR_cidr: 10.20.0.0/16", "TF_VAR_cidr: 10.30.0.0/16", "Change the address range of the network"
    )
    stage.reconcile(service)


def _stopped(stage: DemoStage, service: Service) -> None:
    if "terraform" in stage.missing_tools():
        return
    stage.scene("A plan that a policy denies", "nobody destroys production resources by a merge alone")
    path = stage.repository / OWN / "web.yaml"
    stage.merge(path, 'TF_VAR_replicas: "2"', 'TF_VAR_replicas: "1"', "Run one instance fewer", WRITER)
    stage.reconcile(service)
    stage.merge(path, 'TF_VAR_replicas: "1"', 'TF_VAR_replicas: "2"', "Keep both instances", WRITER)
    stage.reconcile(service)


def _blueprint(stage: DemoStage, service: Service) -> None:
    if "terraform" in stage.missing_tools():
        return
    stage.scene("A stack made from a blueprint", "its instance asks for a larger size, and the stack follows")
    stage.show(stage.repository / OWN / "search.yaml")
    stage.merge(stage.repository / OWN / "search.yaml", "size: small", "size: large", "Make search larger", WRITER)
    stage.reconcile(service)


def _secret(stage: DemoStage, service: Service) -> None:
    from reconciler.credentials.sealing import seal
    from spaces.model.sealed import SealedPlace
    from spaces.names import Kind, SpaceName

    stage.scene(
        "A secret in the repository", "sealed for one place; only the service can open it, and every log masks it"
    )
    sealed = seal(
        secrets.token_urlsafe(24),
        SealedPlace.of(Kind.STACK, service.ports.tree().path(SpaceName(OWN)), "status-page", "PUBLISH_TOKEN"),
        service.ports.recipient,
    )
    stage.tell(f"$ station seal --space {OWN} --kind Stack --name status-page --key PUBLISH_TOKEN")
    line = f"    PUBLISH_TOKEN: {{sealed: {sealed}}}\n"
    path = stage.repository / OWN / "status-page.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("  env:\n", f"  env:\n{line}"), encoding="utf-8")
    stage.console.print(f"  + {line.strip()[:60]}…", style="green", markup=False)
    stage.commit("Publish with a token", WRITER)
    stage.reconcile(service)
    with service.store.reading() as reading:
        log = reading.log(stage.started[-1].id) if stage.started else None
    for said in (log or b"").decode().splitlines():
        if "signing in" in said:
            stage.tell(said)


def _held(stage: DemoStage, service: Service) -> None:
    stage.scene(
        f"A commit by {WRITER}, who may write only in {OWN}",
        "the change elsewhere is held; the rest of the commit takes effect",
    )
    own, other = stage.repository / OWN / "status-page.yaml", stage.repository / "billing" / "contexts.yaml"
    stage.edit(own, "The shop opens at eight", "The shop opens at nine")
    stage.merge(
        other, 'RETENTION_YEARS: "10"', 'RETENTION_YEARS: "1"', "Open later, and keep records for one year", WRITER
    )
    stage.reconcile(service)
    with service.store.reading() as reading:
        held = reading.held_changes()
    for each in held:
        if each.missing is None:
            continue
        action, space = each.missing
        stage.console.print(f"  held: {each.verb} {each.ref} by {each.person}", style="yellow", markup=False)
        stage.tell(f"{each.person} lacks {action} in {space}; whoever has it can run station held approve {each.id}")


def _why(stage: DemoStage, service: Service) -> None:
    from rbac.access.actions import Action
    from rbac.access.subjects import user
    from spaces.names import SpaceName

    stage.scene("Who may do what", "every answer names the binding it rests on")
    access = service.ports.access()
    for name, space in ((WRITER, OWN), (WRITER, "billing"), (ADMIN, "billing")):
        decision = access.decide(user(name), Action("context", "update"), SpaceName(space))
        stage.tell(f"$ station access can {name} context:update {space}")
        stage.tell(f"{'allowed' if decision.allowed else 'not allowed'}: {decision.because}")


def _waits(stage: DemoStage, service: Service) -> None:
    if "terraform" in stage.missing_tools():
        return
    stage.scene("A plan that waits for a person", "and the stack that depends on it waits, too")
    path = stage.repository / "platform" / "network.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("  protected: true\n", "  protected: true\n  autodeploy: false\n"), encoding="utf-8")
    stage.console.print("  + autodeploy: false", style="green", markup=False)
    stage.merge(path, "TF_VAR_cidr: 10.30.0.0/16", "TF_VAR_cidr: 10.40.0.0/16", "Move to another address range")
    stage.reconcile(service)
    with service.store.reading() as reading:
        for run in reading.active_runs():
            stage.tell(f"{run.stack} waits: station run confirm {run.id}")


def _people(stage: DemoStage) -> str:
    """Make two people's keys; return the documents that say who they are and what they may do."""
    from reconciler.git.authoring import Pen

    keys = stage.scratch / "keys"
    keys.mkdir(mode=0o700)
    stage.pens = {name: Pen.make(name, keys / name) for name in (ADMIN, WRITER)}
    users = [document("User", name, "root", {"signingKeys": [pen.public]}) for name, pen in stage.pens.items()]
    binding = {"role": "writer", "subjects": [{"user": WRITER}]}
    return "---\n".join([*users, document("RoleBinding", f"{OWN}-writers", OWN, binding)])


def _say_what_next(stage: DemoStage, seconds: float) -> None:
    station = _station()
    data = f"--data-dir {shlex.quote(str(stage.settings.data_dir))}"
    stage.scene("Done", f"{seconds:.0f} s. Everything is in {stage.scratch}. You could go on with")
    for what, line in (
        ("list the stacks", f"{station} stacks {data}"),
        ("see where each value comes from", f"{station} render shop/web {data}"),
        ("list a stack's runs", f"{station} stack history shop/status-page {data}"),
        ("see what each tool handed on", f"{station} stack outputs {SPACE}/script {data}"),
        ("list the runs", f"{station} runs {data}"),
        ("see why a stack is what it is", f"{station} explain shop/status-page {data}"),
        ("see held changes and the audit", f"{station} held {data}; {station} audit {data}"),
        ("change something yourself", f"edit a file in {stage.repository}, and there"),
        ("", f"git -c gpg.format=ssh -c user.signingKey={stage.scratch / 'keys' / ADMIN} commit --all -S -m …"),
        ("", f"{station} reconcile --config-url {stage.settings.config_url} --admins {ADMIN} {data}"),
    ):
        stage.console.print(f"  {what:32} {line}", markup=False, soft_wrap=True)


def _say_what_to_look_at(console: Console, settings: Settings, *, serving: bool) -> None:
    page = settings.listen_url
    console.print(f"\n[bold cyan]The page[/]: {page}", soft_wrap=True)
    if not serving:
        flags = f"--config-url {settings.config_url} --data-dir {shlex.quote(str(settings.data_dir))}"
        line = f"{_station()} serve {flags} --admins {ADMIN} --no-require-sandbox"
        console.print(f"  {'start it':44} {line}", markup=False, soft_wrap=True)
    for what, path in (
        ("what waits, and how healthy everything is", "/"),
        ("a plan to confirm", "/runs?status=unconfirmed"),
        ("a run that a policy denied", "/runs?status=failed"),
        ("dependencies, and where values come from", "/stacks/shop/web"),
        ("how a stack came to be what it is", "/stacks/shop/web/explain"),
        ("a form that makes a stack", "/blueprints/platform/service"),
        (f"what {WRITER} could not change", "/held"),
        ("why not", f"/access?ask=can&subject=user:{WRITER}&action=context:update&space=billing"),
        ("who did what", "/audit"),
    ):
        console.print(f"  {what:44} {page}{path}", markup=False, soft_wrap=True)
    console.print(f"  {'the token to sign in with':44} {settings.data_dir / 'token'}", markup=False, soft_wrap=True)


def _station() -> str:
    """Return how this program was called."""
    return shlex.quote(sys.argv[0] if sys.argv[0].endswith("station") else "station")


def _scratch(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="station-demo-"))
    directory = directory.absolute()
    if directory.exists() and any(directory.iterdir()):
        raise CliError(f"{directory} is not empty: name a new or empty directory")
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _example() -> Path:
    """Return the example's directory: in the checkout, or inside an installed package."""
    checkout = Path(__file__).parents[2] / "examples" / "repo"
    return checkout if checkout.is_dir() else Path(str(files("reconciler.cli") / "example"))
