"""A whole service in this process, pass by pass, on real repositories and with real runs."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler import operations
from reconciler.bootstrap import Service, open_service
from reconciler.core.runs import Run, RunStatus
from reconciler.core.standing import stands_still
from reconciler.core.state import StackState
from reconciler.loop.service import utc_now
from reconciler.settings import Settings
from reconciler.store.stored import ConfigurationState, RunFilter
from spaces.names import StackId
from tests.e2e.station import a_script


@dataclass(frozen=True)
class Look:
    """How things stand after a pass; stacks are named `space/name`."""

    configuration: ConfigurationState
    stacks: dict[str, StackState]
    runs: list[Run]
    """The runs made in this pass, oldest first."""

    @property
    def sync(self) -> dict[str, str]:
        return {name: str(stack.sync) for name, stack in self.stacks.items() if stack.desired is not None}

    @property
    def ran(self) -> dict[str, str]:
        return {str(run.stack): str(run.status) for run in self.runs}

    @property
    def halted(self) -> str | None:
        return self.configuration.halted.reason if self.configuration.halted else None

    @property
    def problems(self) -> list[str]:
        """The diagnostics, but for the one that every repository without access rules gets."""
        told = [it for it in self.configuration.diagnostics if it["code"] != "access-not-configured"]
        return [f"{it['file']}: {it['severity']}: {it['code']}" for it in told]

    def why(self, stack: str) -> list[str]:
        run = next(run for run in reversed(self.runs) if str(run.stack) == stack)
        return [f"{why.component}: {why.summary}" for why in run.why]

    def stuck(self, stack: str) -> str | None:
        outcome = stands_still(self.stacks[stack])
        return outcome.reason if outcome else None


class Machine:
    """Passes over one data directory; `restart` begins with a new process's knowledge."""

    def __init__(self, folder: Path, url: str, blank_database: Path, **settings: Any) -> None:
        """Give it a copy of the blank database: it is there sooner than a new one."""
        # Tests run where there is no bubblewrap, too.
        own = {"file_repositories": (Path("/"),), "require_sandbox": False}
        self.settings = Settings(
            config_url=url,
            data_dir=folder / "data",
            **{"listen": "127.0.0.1:0", "poll_interval": 0.1, **own, **settings},
        )
        if self.settings.database_url is None and not self.settings.data_dir.exists():
            self.settings.data_dir.mkdir(mode=0o700, parents=True)
            shutil.copy(blank_database, self.settings.data_dir / "station.db")
        self._exit = ExitStack()
        self._seen: set[str] = set()
        self._service: Service | None = None

    @property
    def service(self) -> Service:
        if self._service is None:
            self._service = self._exit.enter_context(open_service(self.settings, port=0))
            self._exit.callback(self._service.server.stop)
            self._exit.callback(self._service.loop.dispatcher.close)
            self._service.loop.recover()
        return self._service

    def restart(self, **settings: Any) -> None:
        self.close()
        self.settings = self.settings.model_copy(update=settings)

    def close(self) -> None:
        self._service = None
        self._exit.close()

    def reconcile(self) -> Look:
        self.service.loop.reconcile()
        return self.look()

    def look(self) -> Look:
        with self.service.store.reading() as reading:
            stacks = {str(stack): state for stack, state in reading.stacks().items()}
            runs = reading.list_runs(RunFilter(), None, 1000)[::-1]
            configuration = reading.configuration()
        fresh = [run for run in runs if run.id not in self._seen]
        self._seen |= {run.id for run in runs if not run.is_active}
        return Look(configuration, stacks, fresh)

    def run_of(self, stack: str, status: RunStatus) -> Run:
        with self.service.store.reading() as reading:
            found = reading.list_runs(RunFilter(StackId.parse(stack), statuses={status}), None, 1)
        assert found, f"{stack} has no run that is {status}"
        return found[0]

    def confirm(self, stack: str) -> None:
        run = self.run_of(stack, RunStatus.UNCONFIRMED)
        operations.confirm(self.service.store, run.id, "ada", utc_now())

    def discard(self, stack: str) -> None:
        run = self.run_of(stack, RunStatus.UNCONFIRMED)
        operations.discard(self.service.store, run.id, "ada", utc_now())

    def retry(self, stack: str, status: RunStatus) -> None:
        operations.retry(self.service.store, self.run_of(stack, status).id, "ada", utc_now())

    def log(self, run: Run) -> str:
        with self.service.store.reading() as reading:
            return (reading.log(run.id) or b"").decode(errors="replace")


def moved(name: str, origin: str, words: str = "") -> str:
    """Write a script stack that took the place of another, doing what that one did unless told otherwise."""
    return a_script(name, f"echo {words or origin}", movedFrom=f"root/{origin}")
