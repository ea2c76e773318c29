"""A terraform stack of 100 resources, from nothing to Synced, against the bare commands in such a directory."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from bench.harness import Figure, Limit, alternate, environment
from bench.installations import Installation, installation
from bench.processes import Meter
from bench.repositories import Repository
from reconciler.core.state import Sync

ROUNDS = 7
_CODE = b"""\
resource "terraform_data" "item" {
  count = 100
  input = "item ${count.index} of %d"
}

output "first" {
  value = terraform_data.item[0].output
}
"""
_COMMANDS = (
    ("init", "-input=false", "-no-color"),
    ("plan", "-input=false", "-no-color", "-out=plan"),
    ("show", "-json", "plan"),
    ("apply", "-input=false", "-no-color", "plan"),
)


def measure(scratch: Path) -> Iterator[Figure]:
    """Measure rounds, each of which creates a new stack.

    The service stores the tfstate; the bare commands keep it in a file. Processor time is measured in separate runs:
    sampling /proc every few milliseconds costs half a processor, which the timed runs would miss and the bare ones not.
    """
    if shutil.which("terraform") is None:
        print("terraform is not installed: skipped")
        return
    repository = Repository.create(scratch / "config.git")
    with installation(repository.url, scratch / "data") as service:
        contest = _Contest(scratch, repository, service)
        ours, bare, _ = alternate(ROUNDS, contest.ours, contest.bare, contest.metered)
    added = sorted(contest.added[1:])[len(contest.added[1:]) // 2]
    bare_cpu = sorted(contest.bare_cpu[1:])[len(contest.bare_cpu[1:]) // 2]
    yield Figure("terraform, 100 resources, the whole run", ours, "s", bare, "init, plan, show, apply", 1.3)
    yield Figure("  processor time that we add", added, "s", bare_cpu, "that of the bare commands", 0.15, Limit.AT_MOST)


class _Contest:
    def __init__(self, scratch: Path, repository: Repository, service: Installation) -> None:
        self._scratch = scratch
        self._repository = repository
        self._service = service
        self._numbers = count(1)
        self._bare_numbers = count(1)
        self.added: list[float] = []
        """Processor seconds of each of our runs, less those of the bare ones of the same round."""
        self.bare_cpu: list[float] = []

    def ours(self) -> float:
        """Return the seconds of our run, from the fetched commit to `Synced`."""
        self._prepare()
        started = time.perf_counter()
        self._run()
        seconds = time.perf_counter() - started
        self._check()
        return seconds

    def metered(self) -> float:
        """Return the processor seconds of such a run."""
        self._prepare()
        with Meter() as meter:
            self._run()
        self._check()
        self.added.append(meter.seconds - self.bare_cpu[-1])
        return meter.seconds

    def _prepare(self) -> None:
        number = next(self._numbers)
        name = f"stack-{number}"
        document = (
            "apiVersion: stationkeeper/v1\nkind: Stack\n"
            f"metadata: {{name: {name}}}\nspec: {{tool: terraform, source: {{path: ./{name}}}}}\n"
        )
        self._repository.commit({f"{name}.yaml": document.encode(), f"{name}/main.tf": _CODE % number})
        self._service.service.loop.look()

    def _run(self) -> None:
        loop = self._service.service.loop
        while True:
            loop.step(0.0)
            if loop.is_idle():
                break
            loop.step(0.2)

    def _check(self) -> None:
        with self._service.service.store.reading() as reading:
            if any(state.sync is not Sync.SYNCED for state in reading.stacks().values()):
                raise AssertionError("a stack did not become Synced")

    def bare(self) -> float:
        """Return the seconds of the bare commands."""
        number = next(self._bare_numbers)
        directory = self._scratch / f"bare-{number}"
        directory.mkdir()
        (directory / "main.tf").write_bytes(_CODE % number)
        settings = self._scratch / "terraform.rc"
        settings.touch()
        env = environment(TF_CLI_CONFIG_FILE=str(settings), CHECKPOINT_DISABLE="1", TF_IN_AUTOMATION="1")
        before = getrusage(RUSAGE_CHILDREN)
        started = time.perf_counter()
        for command in _COMMANDS:
            subprocess.run(["terraform", *command], cwd=directory, env=env, check=True, stdout=subprocess.PIPE)
        seconds = time.perf_counter() - started
        after = getrusage(RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.bare_cpu.append(cpu)
        return seconds
