"""`station demo`: a complete example on the embedded defaults, in a scratch directory.

The command makes a repository, two people and a service, then plays one scene after another. Every scene is a real
commit and a real pass of the service; nothing is simulated.
"""

from __future__ import annotations

import json
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from reconciler.bootstrap import Service
    from reconciler.core.runs import Run
    from reconciler.git.authoring import Pen
    from reconciler.settings import Settings

_FLEET = "/var/tmp/stationkeeper-example"  # noqa: S108 - written in the example; replaced before anything runs
_PAGE = Path("status", "index.html")
_TOOLS = ("terraform", "ansible")
_ADMIN, _WRITER, _OWN = "ada", "bob", "shop"


@click.command("demo", context_settings=options.CONTEXT)
@click.option("--serve", is_flag=True, help="Keep running afterwards and serve the page on the demo's data.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="An empty directory to work in. Default: a new temporary one.",
)
@click.pass_context
def command(ctx: click.Context, /, *, serve: bool, directory: Path | None) -> None:
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
        admins=(_ADMIN,),
    )
    _Demo(console, scratch, settings).play()
    if serve:
        from reconciler.cli.serve import command as serve_command

        _say_what_to_look_at(console, settings)
        flags = {"config_url": settings.config_url, "poll_interval": 2.0, "admins": _ADMIN, "require_sandbox": False}
        ctx.ensure_object(options.Common).data_dir = settings.data_dir
        ctx.invoke(serve_command, **flags)


class _Demo:
    """The scenes, in order. Each one leaves the repository and the stacks as the next one needs them."""

    def __init__(self, console: Console, scratch: Path, settings: Settings) -> None:
        from reconciler.cli.progress import Progress

        self._console = console
        self._scratch = scratch
        self._settings = settings
        self._repository = scratch / "repository"
        self._fleet = scratch / "fleet"
        self._progress = Progress(console)
        self._started: list[Run] = []
        self._pens: dict[str, Pen] = {}

    def play(self) -> None:
        """Play all scenes."""
        started = time.monotonic()
        self._make_repository()
        with self._service() as service:
            self._first_pass(service)
            self._one_line(service)
            self._unrelated(service)
            self._output(service)
            self._stopped(service)
            self._blueprint(service)
            self._secret(service)
            self._held(service)
            self._why(service)
            self._repair(service)
            self._leaves(service)
            self._waits(service)
        self._say_what_next(time.monotonic() - started)

    def _make_repository(self) -> None:
        from reconciler.git.authoring import commit_all

        self._scene("A configuration repository", "spaces, stacks and contexts as YAML, next to the code they run")
        shutil.copytree(_example(), self._repository)
        for path in self._repository.rglob("*.yaml"):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(_FLEET, str(self._fleet)), encoding="utf-8")
        self._fleet.mkdir()
        (self._repository / "people.yaml").write_text(self._people(), encoding="utf-8")
        revision = commit_all(self._repository, "Start from the example", self._pens[_ADMIN])
        self._tell(f"{self._repository} has its first commit, {revision[:12]}, signed by {_ADMIN}")
        self._tell(f"{_ADMIN} is admin by the service's settings; {_WRITER} is writer in the space {_OWN}")
        for tool in self._missing_tools():
            self._progress.warn(
                f"{tool} is not installed here: its stacks report that, and the demo continues with the others"
            )

    def _first_pass(self, service: Service) -> None:
        self._scene("The first reconciliation", "every stack is new, so every stack runs")
        self._pass(service)
        self._show_stacks(service)

    def _one_line(self, service: Service) -> None:
        self._scene("A one-line change", "only the stack that it affects runs, and it says why")
        path = self._repository / "shop" / "status-page.yaml"
        self._merge(path, "The shop is open", "The shop opens at eight", "Say when the shop opens")
        self._pass(service)

    def _unrelated(self, service: Service) -> None:
        self._scene("A change that affects no stack", "nothing runs")
        path = self._repository / "README.md"
        self._merge(path, "# An example configuration", "# Our configuration", "Improve the title")
        self._pass(service)

    def _output(self, service: Service) -> None:
        if "terraform" in self._missing_tools():
            return
        self._scene("An output that another stack uses", "the dependent stack runs after the one it depends on")
        path = self._repository / "platform" / "network.yaml"
        self._merge(
            path, "TF_VAR_cidr: 10.20.0.0/16", "TF_VAR_cidr: 10.30.0.0/16", "Change the address range of the network"
        )
        self._pass(service)

    def _stopped(self, service: Service) -> None:
        if "terraform" in self._missing_tools():
            return
        self._scene("A plan that a policy denies", "nobody destroys production resources by a merge alone")
        path = self._repository / _OWN / "web.yaml"
        self._merge(path, 'TF_VAR_replicas: "2"', 'TF_VAR_replicas: "1"', "Run one instance fewer", _WRITER)
        self._pass(service)
        self._merge(path, 'TF_VAR_replicas: "1"', 'TF_VAR_replicas: "2"', "Keep both instances", _WRITER)
        self._pass(service)

    def _blueprint(self, service: Service) -> None:
        if "terraform" in self._missing_tools():
            return
        self._scene("A stack made from a blueprint", "its instance asks for a larger size, and the stack follows")
        self._show(self._repository / _OWN / "search.yaml")
        self._merge(
            self._repository / _OWN / "search.yaml", "size: small", "size: large", "Make search larger", _WRITER
        )
        self._pass(service)

    def _secret(self, service: Service) -> None:
        from reconciler.credentials.sealing import seal
        from spaces.model.sealed import SealedPlace
        from spaces.names import Kind, SpaceName

        self._scene(
            "A secret in the repository", "sealed for one place; only the service can open it, and every log masks it"
        )
        sealed = seal(
            secrets.token_urlsafe(24),
            SealedPlace.of(Kind.STACK, SpaceName(_OWN), "status-page", "PUBLISH_TOKEN"),
            service.ports.recipient,
        )
        self._tell(f"$ station seal --space {_OWN} --kind Stack --name status-page --key PUBLISH_TOKEN")
        line = f"    PUBLISH_TOKEN: {{sealed: {sealed}}}\n"
        path = self._repository / _OWN / "status-page.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace("  env:\n", f"  env:\n{line}"), encoding="utf-8")
        self._console.print(f"  + {line.strip()[:60]}…", style="green", markup=False)
        self._commit("Publish with a token", _WRITER)
        self._pass(service)
        with service.store.reading() as reading:
            log = reading.log(self._started[-1].id) if self._started else None
        for said in (log or b"").decode().splitlines():
            if "signing in" in said:
                self._tell(said)

    def _people(self) -> str:
        """Make two people's keys; return the documents that say who they are and what they may do."""
        from reconciler.git.authoring import Pen

        keys = self._scratch / "keys"
        keys.mkdir(mode=0o700)
        self._pens = {name: Pen.make(name, keys / name) for name in (_ADMIN, _WRITER)}
        users = [_document("User", name, "root", {"signingKeys": [pen.public]}) for name, pen in self._pens.items()]
        binding = {"role": "writer", "subjects": [{"user": _WRITER}]}
        return "---\n".join([*users, _document("RoleBinding", f"{_OWN}-writers", _OWN, binding)])

    def _held(self, service: Service) -> None:
        self._scene(
            f"A commit by {_WRITER}, who may write only in {_OWN}",
            "the change elsewhere is held; the rest of the commit takes effect",
        )
        own, other = self._repository / _OWN / "status-page.yaml", self._repository / "billing" / "contexts.yaml"
        self._edit(own, "The shop opens at eight", "The shop opens at nine")
        self._merge(
            other, 'RETENTION_YEARS: "10"', 'RETENTION_YEARS: "1"', "Open later, and keep records for one year", _WRITER
        )
        self._pass(service)
        with service.store.reading() as reading:
            held = reading.held_changes()
        for each in held:
            if each.missing is None:
                continue
            action, space = each.missing
            self._console.print(f"  held: {each.verb} {each.ref} by {each.person}", style="yellow", markup=False)
            self._tell(
                f"{each.person} lacks {action} in {space}; whoever has it can run station held approve {each.id}"
            )

    def _why(self, service: Service) -> None:
        from rbac.access.actions import Action
        from rbac.access.subjects import user
        from spaces.names import SpaceName

        self._scene("Who may do what", "every answer names the binding it rests on")
        access = service.ports.access()
        for name, space in ((_WRITER, _OWN), (_WRITER, "billing"), (_ADMIN, "billing")):
            decision = access.decide(user(name), Action("context", "update"), SpaceName(space))
            self._tell(f"$ station access can {name} context:update {space}")
            self._tell(f"{'allowed' if decision.allowed else 'not allowed'}: {decision.because}")

    def _repair(self, service: Service) -> None:
        from reconciler.loop.service import utc_now
        from reconciler.operations import request_check
        from spaces.names import SpaceName, StackId

        self._scene("Somebody deletes a file that a stack made", "a drift check finds it, and a run restores the file")
        page = self._fleet / _PAGE
        page.unlink(missing_ok=True)
        self._tell(f"$ rm {page}")
        self._tell("$ station drift check shop/status-page    # the schedule would do it within ten minutes")
        request_check(service.store, StackId(SpaceName("shop"), "status-page"), "demo", utc_now())
        self._pass(service)
        self._tell(f"{page} is {'back' if page.exists() else 'still missing'}")

    def _leaves(self, service: Service) -> None:
        self._scene("A stack that leaves Git", "with onDelete: destroy, what it made goes with its document")
        banner, file = self._fleet / "status" / "banner.txt", self._repository / _OWN / "banner.yaml"
        spec = {
            "tool": "script",
            "onDelete": "destroy",
            "script": {"apply": f"echo 'Sale!' > {banner}", "destroy": f"rm {banner}"},
        }
        file.write_text(_document("Stack", "banner", _OWN, spec), encoding="utf-8")
        self._commit("Put up a banner", _WRITER)
        self._pass(service)
        file.unlink()
        self._tell(f"$ git rm {file.relative_to(self._repository)}")
        self._commit("Take the banner down", _WRITER)
        self._pass(service)
        self._tell(f"{banner} is {'still there' if banner.exists() else 'gone'}")

    def _waits(self, service: Service) -> None:
        if "terraform" in self._missing_tools():
            return
        self._scene("A plan that waits for a person", "and the stack that depends on it waits, too")
        path = self._repository / "platform" / "network.yaml"
        text = path.read_text(encoding="utf-8")
        path.write_text(
            text.replace("  protected: true\n", "  protected: true\n  autodeploy: false\n"), encoding="utf-8"
        )
        self._console.print("  + autodeploy: false", style="green", markup=False)
        self._merge(path, "TF_VAR_cidr: 10.30.0.0/16", "TF_VAR_cidr: 10.40.0.0/16", "Move to another address range")
        self._pass(service)
        with service.store.reading() as reading:
            for run in reading.active_runs():
                self._tell(f"{run.stack} waits: station run confirm {run.id}")

    def _pass(self, service: Service) -> None:
        self._started.clear()
        started = time.monotonic()
        service.loop.reconcile()
        ran = {run.id for run in self._started}
        words = "no runs" if not ran else f"{len(ran)} {'run' if len(ran) == 1 else 'runs'}"
        self._tell(f"{words} in {time.monotonic() - started:.1f} s")

    def _merge(self, path: Path, old: str, new: str, message: str, person: str = _ADMIN) -> None:
        self._edit(path, old, new)
        self._commit(message, person)

    def _commit(self, message: str, signer: str) -> None:
        from reconciler.git.authoring import commit_all

        revision = commit_all(self._repository, message, self._pens[signer])
        self._tell(f'committed to main as {revision[:12]}, signed by {signer}: "{message}"')

    def _edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(old, new), encoding="utf-8")
        name = path.relative_to(self._repository)
        self._console.print(f"  {name}", style="bold", markup=False)
        self._console.print(f"  - {_line_with(text, old)}", style="red", markup=False)
        self._console.print(f"  + {_line_with(text, old).replace(old, new)}", style="green", markup=False)

    def _show(self, path: Path) -> None:
        self._console.print(f"  {path.relative_to(self._repository)}", style="bold", markup=False)
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith(("#", "apiVersion")):
                self._tell(line)

    def _show_stacks(self, service: Service) -> None:
        from rich.table import Table

        with service.store.reading() as reading:
            stacks = reading.stacks()
            resources = reading.count_resources()
        table = Table("stack", "tool", "sync", "resources", box=None, padding=(0, 2), header_style="bold")
        for stack, state in sorted(stacks.items()):
            colour = "green" if state.sync == "Synced" else "yellow"
            tool = state.desired.tool if state.desired else ""
            table.add_row(str(stack), tool, f"[{colour}]{state.sync}[/]", str(resources.get(stack, "")))
        self._console.print(table)

    def _watch(self, run: Run) -> None:
        self._started.append(run)
        self._progress.show(run)

    @contextmanager
    def _service(self) -> Iterator[Service]:
        from reconciler.bootstrap import open_service
        from reconciler.cli.service_log import said_once

        with said_once(), open_service(self._settings, port=0, watching=self._watch) as service:
            if not service.engine.sandboxed:
                self._progress.warn(f"runs are not sandboxed: {service.engine.sandbox_problem}")
            try:
                yield service
            finally:
                service.loop.dispatcher.close()
                service.server.stop()

    def _missing_tools(self) -> list[str]:
        from reconciler.tools.registry import tool
        from reconciler.tools.versions import Missing, find

        path = self._settings.search_path
        return [name for name in _TOOLS if isinstance(find(tool(name), path), Missing)]

    def _scene(self, title: str, subtitle: str) -> None:
        self._console.print(f"\n[bold cyan]{title}[/]: {subtitle}", soft_wrap=True)

    def _tell(self, text: str) -> None:
        self._console.print(f"  {text}", style="dim", markup=False, soft_wrap=True)

    def _say_what_next(self, seconds: float) -> None:
        station = shlex.quote(sys.argv[0] if sys.argv[0].endswith("station") else "station")
        data = f"--data-dir {shlex.quote(str(self._settings.data_dir))}"
        self._scene("Done", f"{seconds:.0f} s. Everything is in {self._scratch}. You could go on with")
        for what, line in (
            ("list the stacks", f"{station} stacks {data}"),
            ("see where each value comes from", f"{station} render shop/web {data}"),
            ("list a stack's resources", f"{station} stack resources platform/network {data}"),
            ("list the runs", f"{station} runs {data}"),
            ("see held changes and the audit", f"{station} held {data}; {station} audit {data}"),
            ("change something yourself", f"edit a file in {self._repository}, and there"),
            ("", f"git -c gpg.format=ssh -c user.signingKey={self._scratch / 'keys' / _ADMIN} commit --all -S -m …"),
            ("", f"{station} reconcile --config-url {self._settings.config_url} --admins {_ADMIN} {data}"),
        ):
            self._console.print(f"  {what:32} {line}", markup=False, soft_wrap=True)


def _say_what_to_look_at(console: Console, settings: Settings) -> None:
    host, port = settings.host_and_port
    page = f"http://{host}:{port}"
    console.print("\n[bold cyan]The page[/]: what to look at", soft_wrap=True)
    for what, path in (
        ("what waits, and how healthy everything is", "/"),
        ("a plan to confirm", "/runs?status=unconfirmed"),
        ("a run that a policy denied", "/runs?status=failed"),
        ("dependencies, and where values come from", "/stacks/shop/web"),
        (f"what {_WRITER} could not change", "/held"),
        ("why not", f"/access?ask=can&subject=user:{_WRITER}&action=context:update&space=billing"),
    ):
        console.print(f"  {what:44} {page}{path}", markup=False, soft_wrap=True)
    console.print(f"  {'the token to sign in with':44} {settings.data_dir / 'token'}", markup=False, soft_wrap=True)


def _scratch(directory: Path | None) -> Path:
    from reconciler.cli.errors import CliError

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


def _document(kind: str, name: str, space: str, spec: dict[str, Any]) -> str:
    head = f"apiVersion: stationkeeper/v1\nkind: {kind}\nmetadata: {{name: {name}, space: {space}}}\n"
    return f"{head}spec: {json.dumps(spec)}\n"


def _line_with(text: str, part: str) -> str:
    return next(line.strip() for line in text.splitlines() if part in line)
