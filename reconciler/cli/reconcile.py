"""`station reconcile`: reconciles once, until nothing is left to do."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Collection, Iterator
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import garbage, options
from reconciler.cli.diagnostics import line
from reconciler.cli.output import print_data
from reconciler.cli.progress import Progress
from reconciler.cli.service_log import said_once
from reconciler.cli.service_options import service_options
from reconciler.core.reasons import remedy
from reconciler.core.runs import Run, RunId

if TYPE_CHECKING:
    from reconciler.store.protocol import Store


@click.command("reconcile", context_settings=options.CONTEXT)
@options.common
@options.output
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if something ran or still differs.")
@service_options
@click.pass_context
def command(ctx: click.Context, /, form: str, *, detailed_exitcode: bool, **flags: Any) -> None:
    """Fetch once, start every run that is due, and exit when nothing is left to do.

    Exit codes: 0 done; 1 the configuration could not be followed; 3 a run failed or waits, or a stack is out of sync;
    with --detailed-exitcode 2 if there were differences. Stacks that are suspended or that a push policy holds back do
    not count as out of sync.
    """
    from reconciler.bootstrap import open_service
    from reconciler.loop.service import utc_now

    garbage.as_usual()
    settings = ctx.ensure_object(options.Common).settings(**flags)
    started = utc_now()
    seen: set[RunId] = set()
    progress = Progress()

    def watch(run: Run) -> None:
        seen.add(run.id)
        progress.show(run)

    with said_once(), open_service(settings, port=0, watching=watch) as service:
        service.loop.recover()
        try:
            with _interrupts():
                service.loop.reconcile()
        except KeyboardInterrupt:
            progress.warn("interrupted; active runs continue, and the next station reconcile resumes watching them")
            raise
        finally:
            service.loop.dispatcher.close()
            service.server.stop()
        result = _result(service.store, started, seen)
        if result["runs"] and not service.engine.sandboxed:
            progress.warn(f"runs are not sandboxed: {service.engine.sandbox_problem}")
    _print(result, form)
    ctx.exit(_exit_code(result, detailed=detailed_exitcode))


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Remember an interrupt, because an exception raised in a callback, such as a finalizer, would get lost."""
    asked: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
        if asked:
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def _result(store: Store, started: datetime, seen: Collection[RunId]) -> dict[str, Any]:
    """Return the result: every stack in force, and the runs that this command started, continued (`seen`) or ended."""
    from reconciler.store.stored import RunFilter, StackFilter
    from reconciler.web.api import convert

    with store.reading() as reading:
        state = reading.configuration()
        stacks = []
        after = None
        while page := reading.list_stacks(StackFilter(in_git=True), after, 1000):
            last = reading.last_runs([stack.id for stack in page])
            stacks += [convert.stack_json(stack, last.get(stack.id)) for stack in page]
            after = str(page[-1].id)
        runs = {}
        before = None
        while page_of_runs := reading.list_runs(RunFilter(), before, 200):
            for run in page_of_runs:
                if run.created_at >= started or (run.finished_at or started) > started:
                    runs[run.id] = run
            before = page_of_runs[-1].id
            if page_of_runs[-1].created_at < started:
                break
        # Runs that were requested earlier may lie further back, or wait for a person now.
        runs |= {run.id: run for run in map(reading.run, set(seen) - set(runs)) if run is not None}
        held = [change.to_json() for change in reading.held_changes()]
    halted = state.halted
    return {
        "revision": state.attempted_revision,
        "admittedRevision": state.admitted_revision,
        "stacks": [stack.model_dump(mode="json", by_alias=True) for stack in stacks],
        "runs": [convert.run_json(runs[each]).model_dump(mode="json", by_alias=True) for each in sorted(runs)],
        "held": held,
        "diagnostics": [dict(diagnostic) for diagnostic in state.diagnostics],
        "halted": {"reason": halted.reason, "message": halted.message} if halted else None,
    }


def _print(result: dict[str, Any], form: str) -> None:
    if form in {"json", "yaml"}:
        print_data(result, form)
        return
    synced = sum(stack["sync"] == "Synced" for stack in result["stacks"])
    for diagnostic in result["diagnostics"]:
        click.echo(line(diagnostic, ""))
    for held in result["held"]:
        missing = held["missing"]
        lacks = f", who lacks {missing['action']} in {missing['space']}" if missing is not None else ""
        what = f"{held['verb']} {held['kind']} {held['space']}/{held['name']} by {held['person']}"
        click.echo(f"held {held['id']}: {what}{lacks}: {held['message']}")
    for stack in result["stacks"]:
        if not _is_settled(stack):
            ready = stack["conditions"]["Ready"]
            click.echo(f"{stack['id']}: {stack['sync']}, {ready['reason']}: {ready['message']}")
            last = stack["lastRun"]
            if last is not None and last["status"] == "unconfirmed":
                click.echo(f"  a run waits for confirmation: station run confirm {last['id']} (or discard)")
    if result["halted"]:
        hint = remedy(result["halted"]["reason"])
        click.echo(f"halted: {result['halted']['reason']}: {result['halted']['message']}{f' ({hint})' if hint else ''}")
    ran = len(result["runs"])
    click.echo(
        f"revision {(result['admittedRevision'] or '(none)')[:12]}: {synced} of {len(result['stacks'])} stacks Synced, "
        f"{ran} {'run' if ran == 1 else 'runs'}"
    )


def _exit_code(result: dict[str, Any], *, detailed: bool) -> int:
    if result["halted"] or any(diagnostic["severity"] == "error" for diagnostic in result["diagnostics"]):
        return 1
    different = [stack for stack in result["stacks"] if not _is_settled(stack) and not stack["suspended"]]
    held_back = [stack for stack in different if _held_back(stack)]
    if len(different) > len(held_back):
        return 3
    if any(run["status"] in {"failed", "interrupted", "unconfirmed"} for run in result["runs"]):
        return 3
    return 2 if detailed and (result["runs"] or held_back) else 0


def _is_settled(stack: Any) -> bool:
    """Whether a stack is in sync and no run of it has failed since it was applied."""
    return bool(stack["sync"] == "Synced" and stack["conditions"]["Ready"]["status"] == "True")


def _held_back(stack: Any) -> bool:
    """Whether a push policy keeps the stack out of sync on purpose, which one that failed does not."""
    return stack["conditions"]["Ready"]["reason"] in {"IgnoredByPolicy", "ProposedByPolicy"}
