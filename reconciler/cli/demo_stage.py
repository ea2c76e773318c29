"""The stage of `station demo`: the scratch repository, the people's pens, the service, and what is said about them.

`demo` plays its scenes on it: each edits, commits and reconciles here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from reconciler.bootstrap import Service
    from reconciler.core.runs import Run
    from reconciler.git.authoring import Pen
    from reconciler.settings import Settings

ADMIN = "ada"
"""Who commits where a scene names nobody else."""
WRITER, OWN = "bob", "shop"
"""Who may write in one space only, and that space."""

_TOOLS = ("terraform", "ansible")


class DemoStage:
    """Everything that scenes act on. `started`: the runs of the last pass; `pens`: what each person signs with.

    `kubeconfig` leads to a cluster in which a stack may run.
    """

    def __init__(self, console: Console, scratch: Path, settings: Settings) -> None:
        from reconciler.cli.progress import Progress

        self.console = console
        self.scratch = scratch
        self.settings = settings
        self.repository = scratch / "repository"
        self.fleet = scratch / "fleet"
        self.progress = Progress(console)
        self.started: list[Run] = []
        self.pens: dict[str, Pen] = {}
        self.kubeconfig: Path | None = None

    def watch(self, run: Run) -> None:
        """Note a run that started, and show its progress."""
        self.started.append(run)
        self.progress.show(run)

    @contextmanager
    def service(self) -> Iterator[Service]:
        """Open the service, and close it at the end."""
        from reconciler.bootstrap import open_service
        from reconciler.cli.service_log import said_once

        with said_once(), open_service(self.settings, port=0, watching=self.watch) as service:
            if not service.engine.sandboxed:
                self.progress.warn(f"runs are not sandboxed: {service.engine.sandbox_problem}")
            try:
                yield service
            finally:
                service.loop.dispatcher.close()
                service.server.stop()

    def reconcile(self, service: Service) -> None:
        """Reconcile once, and say how many runs that took."""
        self.started.clear()
        started = time.monotonic()
        service.loop.reconcile()
        ran = {run.id for run in self.started}
        words = "no runs" if not ran else f"{len(ran)} {'run' if len(ran) == 1 else 'runs'}"
        self.tell(f"{words} in {time.monotonic() - started:.1f} s")

    def merge(self, path: Path, old: str, new: str, message: str, person: str = ADMIN) -> None:
        """Change a line of a file and commit that."""
        self.edit(path, old, new)
        self.commit(message, person)

    def edit(self, path: Path, old: str, new: str) -> None:
        """Change a line of a file, and show it before and after."""
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(old, new), encoding="utf-8")
        name = path.relative_to(self.repository)
        self.console.print(f"  {name}", style="bold", markup=False)
        self.console.print(f"  - {_line_with(text, old)}", style="red", markup=False)
        self.console.print(f"  + {_line_with(text, old).replace(old, new)}", style="green", markup=False)

    def commit(self, message: str, signer: str) -> None:
        """Commit everything, signed by this person."""
        from reconciler.git.authoring import commit_all

        revision = commit_all(self.repository, message, self.pens[signer])
        self.tell(f'committed to main as {revision[:12]}, signed by {signer}: "{message}"')

    def show(self, path: Path) -> None:
        """Show a document."""
        self.console.print(f"  {path.relative_to(self.repository)}", style="bold", markup=False)
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith(("#", "apiVersion")):
                self.tell(line)

    def show_stacks(self, service: Service) -> None:
        """Show every stack with its sync and how many resources it has."""
        from rich.table import Table

        with service.store.reading() as reading:
            stacks = reading.stacks()
            resources = reading.count_resources()
        table = Table("stack", "tool", "sync", "resources", box=None, padding=(0, 2), header_style="bold")
        for stack, state in sorted(stacks.items()):
            colour = "green" if state.sync == "Synced" else "yellow"
            tool = state.desired.tool if state.desired else ""
            table.add_row(str(stack), tool, f"[{colour}]{state.sync}[/]", str(resources.get(stack, "")))
        self.console.print(table)

    def missing_tools(self) -> list[str]:
        """Return the tools that are not installed here."""
        from reconciler.tools.registry import tool
        from reconciler.tools.versions import Missing, find

        path = self.settings.search_path
        return [name for name in _TOOLS if isinstance(find(tool(name), path), Missing)]

    def scene(self, title: str, subtitle: str) -> None:
        """Begin a scene."""
        self.console.print(f"\n[bold cyan]{title}[/]: {subtitle}", soft_wrap=True)

    def tell(self, text: str) -> None:
        """Say what happens in a scene."""
        self.console.print(f"  {text}", style="dim", markup=False, soft_wrap=True)


def _line_with(text: str, part: str) -> str:
    return next(line.strip() for line in text.splitlines() if part in line)


def document(kind: str, name: str, space: str, spec: dict[str, Any]) -> str:
    """Write a document."""
    head = f"apiVersion: stationkeeper/v1\nkind: {kind}\nmetadata: {{name: {name}, space: {space}}}\n"
    return f"{head}spec: {json.dumps(spec)}\n"
