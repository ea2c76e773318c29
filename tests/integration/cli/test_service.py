"""Commands that speak to a service, over real HTTP and in process."""

from __future__ import annotations

import fcntl
import json
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from ruamel.yaml import YAML

from rbac.access.actions import Action
from rbac.admission.held import HeldChange
from reconciler.cli.output import clean_log
from reconciler.core.results import Action as Change
from reconciler.core.results import Output, OutputChange, Planned, Resource, ResourceChange
from reconciler.core.runs import Run, RunId, RunStatus
from reconciler.core.state import StackProblem, Sync
from reconciler.store.sql import SqlStore
from reconciler.store.stored import ApiToken, ConfigurationState, Halt, KeptDocument, StoreError
from reconciler.web.api.convert import effective_json
from reconciler.web.app import create_app
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from spaces.documents.changes import Verb
from spaces.effective.stack import effective
from spaces.names import ROOT, Kind, ResourceRef, SpaceName
from spaces.validate import examine_files
from tests.factories import NOW, OTHER_REVISION, REVISION, a_desired, a_run, a_stack, a_stack_id, record_results
from tests.integration.cli.conftest import Station
from tests.integration.web.client import OPERATOR_TOKEN
from tests.integration.web.test_stacks import CONFIGURATION
from tests.integration.web.warm import WarmApp

NETWORK = a_stack_id("production/network")


@pytest.fixture
def network(store: SqlStore) -> None:
    with store.writing() as transaction:
        transaction.put_stacks(
            [
                a_stack(NETWORK, sync=Sync.SYNCED, desired=a_desired(labels={"tier": "base"})),
                a_stack("platform/base"),
            ]
        )


def add(store: SqlStore, *runs: Run) -> None:
    with store.writing() as transaction:
        assert transaction.add_runs(runs) == [run.id for run in runs]


def stacks_of(store: SqlStore) -> dict[str, Any]:
    with store.reading() as reading:
        return {str(stack.id): stack for stack in reading.stacks().values()}


@pytest.mark.usefixtures("network")
class TestStacks:
    def test_as_a_table_that_other_programs_can_cut(self, remote: Station) -> None:
        lines = remote("stacks").out.splitlines()
        assert lines[0].split() == ["STACK", "TOOL", "SYNC", "READY", "REASON", "LAST", "RUN", "APPLIED"]
        assert [line.split()[:3] for line in lines[1:]] == [
            ["platform/base", "script", "Unknown"],
            ["production/network", "script", "Synced"],
        ]

    def test_as_a_wide_table(self, remote: Station) -> None:
        assert "tier=base" in remote("stacks", "-o", "wide").out

    def test_as_json_and_yaml_of_the_same(self, remote: Station) -> None:
        shown = json.loads(remote("stacks", "-o", "json").out)
        assert [stack["id"] for stack in shown] == ["platform/base", "production/network"]
        assert YAML(typ="safe", pure=True).load(remote("stacks", "-o", "yaml").out) == shown

    @pytest.mark.parametrize(
        ("arguments", "found"),
        [
            pytest.param(["-s", "production"], ["production/network"], id="space"),
            pytest.param(["-s", "platform"], ["platform/base", "production/network"], id="space with what is below"),
            pytest.param(["-l", "tier=base"], ["production/network"], id="label"),
            pytest.param(["-l", "tier=base,x=y"], [], id="labels"),
            pytest.param(["--sync", "Synced"], ["production/network"], id="sync"),
            pytest.param(["--tool", "ansible"], [], id="tool"),
            pytest.param(["-q", "base"], ["platform/base"], id="text"),
        ],
    )
    def test_filters(self, remote: Station, arguments: list[str], found: list[str]) -> None:
        shown = json.loads(remote("stacks", "-o", "json", *arguments).out)
        assert [stack["id"] for stack in shown] == found

    def test_pages_are_the_commands_own_business(self, remote: Station, store: SqlStore) -> None:
        with store.writing() as transaction:
            transaction.put_stacks([a_stack(f"production/s{number}") for number in range(1005)])
        assert len(json.loads(remote("stacks", "-o", "json", "-q", "production/s").out)) == 1005

    def test_get(self, remote: Station) -> None:
        assert json.loads(remote("stack", "get", "production/network", "-o", "json").out)["sync"] == "Synced"
        lines = dict(line.split(None, 1) for line in remote("stack", "get", "network").out.splitlines())
        assert (lines["stack"], lines["labels"]) == ("production/network", "tier=base")

    def test_a_bare_name_must_say_which_stack(self, remote: Station, store: SqlStore) -> None:
        with store.writing() as transaction:
            transaction.put_stacks([a_stack("platform/network")])
        result = remote("stack", "get", "network")
        assert (result.code, result.err) == (
            1,
            "error: several stacks are named network: write platform/network or production/network\n",
        )

    @pytest.mark.parametrize("verb", ["get", "history", "resources", "outputs", "suspend", "resume", "run"])
    @pytest.mark.parametrize("name", ["production/none", "none", "../x/y"])
    def test_a_stack_that_is_not_there(self, remote: Station, verb: str, name: str) -> None:
        result = remote("stack", verb, name)
        assert (result.code, result.out) == (1, "")
        about = f"{name} is not the name of a stack" if name == "../x/y" else "there is no"
        assert result.err.startswith(f"error: {about}")
        assert result.err.count("\n") == 1

    def test_history(self, remote: Station, store: SqlStore) -> None:
        old, new = (a_run(NETWORK, status=status) for status in (RunStatus.FAILED, RunStatus.FINISHED))
        add(store, old, new)
        shown = json.loads(remote("stack", "history", "network", "-o", "json").out)
        assert [run["id"] for run in shown] == [new.id, old.id]
        assert len(json.loads(remote("stack", "history", "network", "-n", 1, "-o", "json").out)) == 1

    def test_resources_and_outputs(self, remote: Station, store: SqlStore) -> None:
        outputs = [Output("vpc", "v-1"), Output("password", "hunter2", sensitive=True)]
        with store.writing() as transaction:
            record_results(transaction, NETWORK, [Resource("data.one", "data", "p")], outputs)
        assert "data.one" in remote("stack", "resources", "network").out
        for form in ("table", "wide", "json", "yaml"):
            shown = remote("stack", "outputs", "network", "-o", form).out
            assert "v-1" in shown
            assert "hunter2" not in shown
        assert "(sensitive)" in remote("stack", "outputs", "network").out

    def test_suspend_and_resume(self, remote: Station, store: SqlStore) -> None:
        assert remote("stack", "suspend", "network").out == "production/network is suspended\n"
        assert stacks_of(store)["production/network"].paused
        refused = remote("stack", "run", "network")
        assert (refused.code, refused.err) == (1, "error: production/network is suspended: resume it first\n")
        assert remote("stack", "resume", "network", "-o", "json").code == 0
        assert not stacks_of(store)["production/network"].paused

    def test_many_at_once_by_space_and_labels(self, remote: Station, store: SqlStore) -> None:
        done = remote("stack", "suspend", "-s", "platform")
        assert done.out == "platform/base is suspended\nproduction/network is suspended\n"
        some = remote("stack", "resume", "-l", "tier=base")
        assert (some.code, some.out) == (0, "production/network is resumed\n")
        ran = remote("stack", "run", "-s", "root")
        assert (ran.code, ran.out) == (1, "production/network has a run that is queued\n")
        assert ran.err == "platform/base: platform/base is suspended: resume it first\n"
        for wrong in ([], ["network", "-s", "platform"], ["-s", "platform", "--wait"]):
            assert remote("stack", "run", *wrong).code == 1
        with store.reading() as reading:
            assert [run.stack.name for run in reading.active_runs()] == ["network"]

    def test_all_that_wait_are_confirmed_or_discarded_at_once(self, remote: Station, store: SqlStore) -> None:
        add(store, a_run(NETWORK, status=RunStatus.UNCONFIRMED), a_run("platform/base", status=RunStatus.UNCONFIRMED))
        assert "production/network is confirmed" in remote("run", "confirm", "-l", "tier=base").out
        assert "platform/base is discarded" in remote("run", "discard", "-s", "platform").out
        assert remote("run", "confirm", "-s", "production", "-l", "tier=none").err == "nothing matches\n"

    def test_lock_and_unlock(self, remote: Station, store: SqlStore) -> None:
        locked = remote("stack", "lock", "network", "--note", "repairs", "--for", "4h")
        assert locked.out == "production/network is locked\n"
        lock = stacks_of(store)["production/network"].lock
        assert lock is not None
        assert (lock.note, lock.until is not None) == ("repairs", True)
        assert re.search(r"locked +by operator until .*: repairs", remote("stack", "get", "network").out)
        assert re.search(r"production/network .* Locked\b", remote("stacks").out)
        refused = remote("stack", "run", "network")
        assert (refused.code, "is locked by operator since" in refused.err) == (1, True)
        assert remote("stack", "lock", "network", "--note", "x", "--for", "soon").err == (
            "error: for must be a duration such as 90s, 30m, 1h30m or 2d\n"
        )
        assert remote("stack", "unlock", "network").out == "production/network is unlocked\n"
        assert stacks_of(store)["production/network"].lock is None

    def test_pin_and_other_doors_are_there(self, remote: Station, store: SqlStore) -> None:
        pinned = remote("stack", "pin", "network", "--at", "abcdef0", "--note", "it is slow")
        assert (pinned.code, pinned.err) == (1, "error: what is in force is not known here\n")
        assert remote("stack", "unpin", "network").err == "error: production/network is not pinned\n"
        run = a_run(NETWORK)
        add(store, run)
        assert "starts before all others" in remote("run", "prioritize", run.id).out
        assert "all or nothing" in remote("run", "replan", run.id, "--target", "x").err
        for refresh in (["stack", "refresh"], ["drift", "accept"]):
            assert "cannot be refreshed" in remote(*refresh, "network").err

    def test_run(self, remote: Station) -> None:
        result = remote("stack", "run", "network", "-o", "json")
        assert (result.code, json.loads(result.out)["status"]) == (0, "queued")
        again = remote("stack", "run", "network")
        assert (again.code, again.out) == (1, "")
        assert json.loads(result.out)["id"] in again.err

    @pytest.mark.parametrize(
        ("command", "kind"),
        [
            (["stack", "plan", "network"], "proposed"),
            (["stack", "destroy", "network"], "destroy"),
            (["task", "network", "--", "echo", "two words"], "task"),
        ],
    )
    def test_other_kinds_of_runs(self, remote: Station, store: SqlStore, command: list[str], kind: str) -> None:
        result = remote(*command)
        assert (result.code, result.err) == (0, "")
        with store.reading() as reading:
            (run,) = reading.active_runs([NETWORK])
        assert (run.kind, run.command) == (kind, "echo 'two words'" if kind == "task" else None)

    def test_what_a_terminal_would_obey_is_not_printed(self, remote: Station, store: SqlStore) -> None:
        problem = StackProblem("SourceNotFound", "no \x1b]0;title\x07 source\nhere")
        stack = a_stack("platform/base", desired=a_desired(labels={"x": "\x1b[2J"}, problem=problem))
        with store.writing() as transaction:
            transaction.put_stacks([stack])
        shown = remote("stacks", "-o", "wide").out + remote("stack", "run", "platform/base").err
        assert "x=" in shown
        assert not {"\x1b", "\x07"} & set(shown)


@pytest.mark.usefixtures("network")
class TestRuns:
    def test_listing(self, remote: Station, store: SqlStore) -> None:
        one, two = a_run(NETWORK, status=RunStatus.FAILED), a_run("platform/base")
        add(store, one, two)

        def ids(*arguments: object) -> list[str]:
            return [run["id"] for run in json.loads(remote("runs", "-o", "json", *arguments).out)]

        assert ids() == [two.id, one.id]
        assert ids("--status", "failed") == [one.id]
        assert (ids("--kind", "tracked"), ids("--kind", "proposed")) == ([two.id, one.id], [])
        assert ids("-s", "production") == [one.id]
        assert ids("-l", "tier=base") == [one.id]
        assert ids("-n", 1) == [two.id]
        assert [line.split()[0] for line in remote("runs").out.splitlines()] == ["RUN", two.id, one.id]

    def test_a_run_is_named_by_the_beginning_or_the_end_of_its_id(self, remote: Station, store: SqlStore) -> None:
        ids = [RunId(text.ljust(25, "0") + end) for text, end in (("01aa", "x"), ("01ab", "y"))]
        add(store, *(a_run(NETWORK, id=run, status=RunStatus.FINISHED) for run in ids))
        assert json.loads(remote("run", "get", "01AA", "-o", "json").out)["id"] == ids[0]
        assert json.loads(remote("run", "get", "0Y", "-o", "json").out)["id"] == ids[1]
        several = (
            f"error: the ids of several runs begin or end with 01, such as {ids[0]} and {ids[1]}: write more of it\n"
        )
        assert remote("run", "get", "01").err == several
        assert remote("run", "get", "02").err == "error: there is no run 02\n"
        assert remote("run", "get", "../stacks").err == "error: there is no run ../stacks\n"

    def test_plan(self, remote: Station, store: SqlStore) -> None:
        run = a_run(NETWORK, status=RunStatus.UNCONFIRMED)
        add(store, run)
        with store.writing() as transaction:
            changes = (
                ResourceChange("data.one", "data", "p", Change.DELETE),
                ResourceChange("data.two", "data", "p", Change.MOVE, moved_from="data.old"),
                ResourceChange("data.three", "data", "p", Change.UPDATE, imported_id="i-1"),
            )
            outputs = (OutputChange("size", Change.UPDATE, 1, {"a": 2}),)
            transaction.record_plans({run.id: Planned(has_changes=True, changes=changes, outputs=outputs)})
        lines = [line.split() for line in remote("run", "plan", run.id).out.splitlines()]
        assert lines == [
            ["ACTION", "ADDRESS", "TYPE"],
            ["delete", "data.one", "data"],
            ["move", "data.two", "(moved", "from", "data.old)", "data"],
            ["update", "data.three", "(import", "of", "i-1)", "data"],
            ["ACTION", "OUTPUT", "BEFORE", "AFTER"],
            ["update", "size", "1", '{"a":', "2}"],
        ]

    @pytest.mark.parametrize(
        ("status", "verb", "code", "after"),
        [
            pytest.param(RunStatus.UNCONFIRMED, "confirm", 0, RunStatus.UNCONFIRMED, id="confirm"),
            pytest.param(RunStatus.UNCONFIRMED, "discard", 0, RunStatus.DISCARDED, id="discard"),
            pytest.param(RunStatus.QUEUED, "cancel", 0, RunStatus.CANCELED, id="cancel"),
            pytest.param(RunStatus.FAILED, "retry", 0, RunStatus.FAILED, id="retry"),
            pytest.param(RunStatus.FINISHED, "confirm", 1, RunStatus.FINISHED, id="confirm a finished one"),
            pytest.param(RunStatus.UNCONFIRMED, "cancel", 1, RunStatus.UNCONFIRMED, id="cancel one that waits"),
        ],
    )
    def test_steering(
        self, remote: Station, store: SqlStore, *, status: RunStatus, verb: str, code: int, after: RunStatus
    ) -> None:
        run = a_run(NETWORK, status=status)
        add(store, run)
        result = remote("run", verb, run.id)
        assert result.code == code
        assert (result.out if code == 0 else result.err).count("\n") == 1
        with store.reading() as reading:
            found = reading.run(run.id)
        assert found is not None
        assert found.status is after

    def test_the_log_so_far(self, remote: Station, store: SqlStore) -> None:
        run = a_run(NETWORK, status=RunStatus.FINISHED)
        add(store, run)
        with store.writing() as transaction:
            transaction.record_logs({run.id: "Grüße\n".encode() * 60_000 + b"\x1b[31mred\x1b[0m\x1b]0;title\x07\n"})
        shown = remote("run", "logs", run.id).out
        assert shown == "Grüße\n" * 60_000 + "red\n"


LATER_STATUS = [
    pytest.param(RunStatus.FINISHED, 0, id="finished"),
    pytest.param(RunStatus.FAILED, 3, id="failed"),
    pytest.param(RunStatus.UNCONFIRMED, 3, id="waits"),
    pytest.param(RunStatus.CANCELED, 3, id="canceled"),
    pytest.param(RunStatus.SUPERSEDED, 3, id="superseded"),
]


def soon(change: Callable[[], None], when: Callable[[], bool] = lambda: True) -> threading.Thread:
    """Make a change from a thread of its own, once the command under test has come as far as `when` says."""

    def later() -> None:
        time.sleep(0.2)
        deadline = time.monotonic() + 60
        while not when() and time.monotonic() < deadline:
            time.sleep(0.02)
        change()

    thread = threading.Thread(target=later)
    thread.start()
    return thread


@pytest.mark.usefixtures("network")
class TestWaiting:
    @pytest.mark.parametrize(("status", "code"), LATER_STATUS)
    def test_the_exit_code_says_how_it_ended(
        self, remote: Station, store: SqlStore, status: RunStatus, code: int
    ) -> None:
        def end() -> None:
            with store.writing() as transaction:
                (run,) = transaction.active_runs([NETWORK])
                transaction.put_run(run.evolve(status=status))

        def queued() -> bool:
            with store.reading() as reading:
                return bool(reading.active_runs([NETWORK]))

        thread = soon(end, queued)
        result = remote("stack", "run", "network", "--wait", "-o", "json")
        thread.join()
        assert (result.code, json.loads(result.out)["status"]) == (code, status)

    def test_a_confirmed_run_is_waited_for_until_its_end(self, remote: Station, store: SqlStore) -> None:
        run = a_run(NETWORK, status=RunStatus.UNCONFIRMED)
        add(store, run)

        def end() -> None:
            with store.writing() as transaction:
                transaction.put_run(run.evolve(status=RunStatus.FINISHED, confirmed_by="operator"))

        def confirmed() -> bool:
            with store.reading() as reading:
                found = reading.run(run.id)
            return found is not None and found.confirmed_by is not None

        thread = soon(end, confirmed)
        result = remote("run", "confirm", run.id, "--wait")
        thread.join()
        assert result.code == 0

    def test_a_log_is_followed_to_its_end(self, station: Station, ports: Ports, store: SqlStore) -> None:
        run = a_run(NETWORK, status=RunStatus.APPLYING)
        add(store, run)
        log = bytearray(b"first\n")
        app = WarmApp(replace(ports, live_log=lambda _, offset, limit: bytes(log[offset : offset + limit])))

        def end() -> None:
            log.extend(b"second\n")
            time.sleep(0.2)
            with store.writing() as transaction:
                transaction.put_run(run.evolve(status=RunStatus.FINISHED))
                transaction.record_logs({run.id: b"first\nsecond\nlast\n"})

        with HttpServer(app) as server:
            token = Path("token")
            token.write_text(OPERATOR_TOKEN + "\n")
            thread = soon(end)
            result = station("--url", server.url, "run", "logs", "-f", run.id, "--token-file", token)
            thread.join()
        assert (result.code, result.out) == (0, "first\nsecond\nlast\n")


class TestOverview:
    def test_status(self, remote: Station, store: SqlStore) -> None:
        diagnostic = {"severity": "error", "code": "unknown-key", "summary": "no such key", "hint": "did you mean x?"}
        diagnostic |= {"file": "a.yaml", "line": 3, "column": 5}
        with store.writing() as transaction:
            transaction.put_configuration(
                ConfigurationState(
                    url="https://git.example/config",
                    admitted_revision=REVISION,
                    attempted_revision=OTHER_REVISION,
                    halted=Halt("HistoryRewritten", "the branch was rewound", None, NOW),
                    diagnostics=(diagnostic,),
                    kept=(KeptDocument("Stack", "root", "web", "a.yaml", REVISION, "broken"),),
                )
            )
        result = remote("status")
        assert result.code == 0
        assert "HistoryRewritten: the branch was rewound" in result.out
        assert "a.yaml:3:5: error: no such key (did you mean x?) [unknown-key]" in result.out
        assert "Stack root/web" in result.out
        assert json.loads(remote("status", "-o", "json").out)["admittedRevision"] == REVISION

    def test_render(self, station: Station, ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
        files = {"a.yaml": CONFIGURATION}
        documents = examine_files(files).documents
        app = WarmApp(replace(ports, effective=lambda stack: effective(documents, stack)))
        monkeypatch.setenv("STATION_TOKEN", OPERATOR_TOKEN)
        with HttpServer(app) as server:
            table = station("render", "root/web", "--url", server.url).out
            shown = json.loads(station("render", "root/web", "--url", server.url, "-o", "json").out)
        rows = [re.split(r"  +", line) for line in table.splitlines()]
        assert ["LEVEL", "debug", "Stack root/web", "Context root/common"] in rows
        assert ["REGION", "eu", "Context root/common"] in rows
        assert [value["name"] for value in shown["env"]] == ["LEVEL", "REGION"]

    @pytest.mark.parametrize("form", ["table", "json", "yaml"])
    def test_a_service_that_is_older_is_told_so(
        self, station: Station, monkeypatch: pytest.MonkeyPatch, form: str
    ) -> None:
        files = {"a.yaml": CONFIGURATION}
        documents = examine_files(files).documents
        answer = effective_json(effective(documents, a_stack_id("root/web"))).model_dump(mode="json")
        del answer["attached"], answer["policies"]
        app = FastAPI()

        @app.get("/api/v1/stacks/root/web/effective")
        def older() -> dict[str, Any]:
            return answer

        monkeypatch.setenv("STATION_TOKEN", OPERATOR_TOKEN)
        with HttpServer(app) as server:
            result = station("render", "root/web", "--url", server.url, "-o", form)
        if form == "table":
            assert (result.code, result.err.count("\n")) == (1, 1)
            assert "the service's answer lacks 'attached': it is older than this command" in result.err
        else:
            assert (result.code, result.err) == (0, "")

    def test_held_changes_and_tokens_are_named_by_the_beginnings_of_their_ids(
        self, remote: Station, store: SqlStore
    ) -> None:
        held = [replace(a_held_stack(), id=name) for name in ("aa11bb", "aa22bb")]
        with store.writing() as transaction:
            transaction.put_held_changes(held, NOW)
            for name in ("aa11bb", "aa22bb"):
                transaction.add_api_token(ApiToken(name, "user:ada", "operator", NOW))
        assert json.loads(remote("held", "show", "aa2", "-o", "json").out)["id"] == "aa22bb"
        assert "aa22bb (update Stack production/network) is approved" in remote("held", "approve", "aa2").out
        assert "token aa11bb of user:ada is revoked" in remote("token", "revoke", "aa1").out
        for command, what in ((("held", "show"), "held changes"), (("held", "approve"), "held changes")):
            assert f"the ids of several {what} begin with aa, such as aa11bb and aa22bb" in remote(*command, "aa").err
        assert remote("held", "show", "bb").err == "error: there is no held change bb\n"
        assert remote("token", "revoke", "../runs").err == "error: there is no token ../runs\n"


def a_held_stack() -> HeldChange:
    ref = ResourceRef(Kind.STACK, SpaceName("production"), "network")
    return HeldChange("h", ref, Verb.UPDATE, "user:bob", (Action.parse("stack:update"), ROOT), REVISION, "no role")


@pytest.mark.usefixtures("network")
class TestInProcess:
    """Without a URL the command serves the API to itself."""

    @pytest.fixture
    def local(self, station: Station, ports: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Station:
        module = ModuleType("reconciler.local")

        def local_app(settings: Any) -> FastAPI:
            assert settings.data_dir == tmp_path
            return create_app(ports)

        module.local_app = local_app  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "reconciler.local", module)
        monkeypatch.setenv("STATION_DATA_DIR", str(tmp_path))
        return station

    def test_reading(self, local: Station) -> None:
        assert [stack["id"] for stack in json.loads(local("stacks", "-o", "json").out)] == [
            "platform/base",
            "production/network",
        ]

    def test_asking_for_a_run_says_who_carries_it_out(self, local: Station) -> None:
        result = local("stack", "run", "network")
        assert result.out.endswith("is queued; the next station reconcile or service carries it out\n")

    def test_beside_a_service_nobody_is_sent_for_another(self, local: Station, tmp_path: Path) -> None:
        with (tmp_path / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert local("stack", "run", "network").out.endswith("is queued\n")

    def test_a_refusal_is_one_line(self, local: Station) -> None:
        result = local("stack", "get", "production/none")
        assert (result.code, result.err) == (1, "error: there is no stack production/none\n")

    def test_a_bug_is_written_down_and_named(
        self, local: Station, ports: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(_: object) -> FastAPI:
            raise ZeroDivisionError("in the middle")

        monkeypatch.setattr(sys.modules["reconciler.local"], "local_app", broken)
        result = local("stacks")
        assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
        (file,) = (tmp_path / "state" / "stationkeeper").iterdir()
        assert str(file) in result.err
        assert "ZeroDivisionError: in the middle" in file.read_text()
        assert file.stat().st_mode & 0o077 == 0
        monkeypatch.setenv("STATION_DEBUG", "1")
        assert "Traceback" in local("stacks").err

    def test_a_database_that_is_away_is_no_bug(self, local: Station, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(_: object) -> FastAPI:
            raise StoreError("the database cannot be reached")

        monkeypatch.setattr(sys.modules["reconciler.local"], "local_app", away)
        assert local("stacks").err == "error: the database cannot be reached\n"


@pytest.mark.parametrize(
    ("written", "terminal", "shown"),
    [
        pytest.param("a\tb\r\nc", True, "a\tb\r\nc", id="plain"),
        pytest.param("\x1b[1;31mred\x1b[0m", True, "\x1b[1;31mred\x1b[0m", id="colours stay on a terminal"),
        pytest.param("\x1b[1;31mred\x1b[0m", False, "red", id="colours go elsewhere"),
        pytest.param("a\x1b[2Jb\x1b[10;5Hc", True, "abc", id="cursor"),
        pytest.param("a\x1b]0;title\x07b\x1b]52;c;eA==\x1b\\c", True, "abc", id="title and clipboard"),
        pytest.param("a\x1bcb", True, "ab", id="reset"),
        pytest.param("a\x08\x00\x9bb", True, "ab", id="control characters"),
    ],
)
def test_logs_are_shown_without_what_a_terminal_obeys(
    written: str, shown: str, monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: terminal))
    cleaned = clean_log(written)
    monkeypatch.undo()
    assert cleaned == shown


_LISTS = (
    "stacks",
    "runs",
    "queue",
    "resources",
    "revisions",
    "blueprint list",
    "held list",
    "pool list",
    "rollout list",
    "notification list",
    "token list",
    "audit",
    "drift",
)


@pytest.mark.parametrize("words", _LISTS)
def test_every_list_is_asked_for_as_the_api_takes_it(remote: Station, words: str) -> None:
    listed = remote(*words.split(), "-o", "json")
    assert (listed.code, listed.err) == (0, "")
    assert isinstance(json.loads(listed.out), list)
