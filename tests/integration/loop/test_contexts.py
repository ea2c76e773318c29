"""Contexts in real runs: what attaches itself, mounted files of the repository, hooks around every phase."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import operations
from reconciler.loop.service import utc_now
from tests.e2e.station import Repo, a_script, document, lines
from tests.integration.loop.machine import Machine

WEB = {"matchLabels": {"tier": "web"}}


def _context(name: str, **spec: Any) -> str:
    return document("Context", name, spec)


def test_what_attaches_itself_runs_exactly_the_stacks_that_get_it(repo: Repo, machine: Machine, ran: Path) -> None:
    say = f'echo "$STATION_STACK $LEVEL" >> {ran}'
    files = {
        "level.yaml": _context("level", attach=WEB, env={"LEVEL": "info"}),
        "shop/space.yaml": document("Space", "shop", {"inherit": True}),
        "shop/web.yaml": a_script("web", say, labels={"tier": "web"}),
        "shop/db.yaml": a_script("db", say, labels={"tier": "db"}, env={"LEVEL": "own"}),
        "alone/space.yaml": document("Space", "alone", {}),
        "alone/web.yaml": a_script("web", say, labels={"tier": "web"}, env={"LEVEL": "own"}),
    }
    repo.commit(files)
    assert machine.reconcile().sync == dict.fromkeys(("alone/web", "shop/db", "shop/web"), "Synced")
    assert sorted(lines(ran)) == ["alone/web own", "shop/db own", "shop/web info"]

    repo.commit({"level.yaml": _context("level", attach=WEB, env={"LEVEL": "debug"})})
    look = machine.reconcile()
    assert (look.ran, look.why("shop/web")) == (
        {"shop/web": "finished"},
        ["contexts: context root/level: env LEVEL"],
    )
    repo.commit({"shop/web.yaml": a_script("web", say, labels={"tier": "none"})})
    look = machine.reconcile()
    assert (look.ran, look.why("shop/web")) == (
        {"shop/web": "finished"},
        ["contexts: context root/level no longer used"],
    )
    repo.commit({"more.yaml": _context("more", attach={}, env={"MORE": "1"})})
    look = machine.reconcile()
    assert look.ran == {"shop/web": "finished", "shop/db": "finished"}
    assert look.why("shop/db") == ["contexts: context root/more now used: env MORE"]
    assert lines(ran)[3:5] == ["shop/web debug", "shop/web"]


def test_a_file_alone_runs_exactly_the_stacks_that_mount_it(repo: Repo, machine: Machine, ran: Path) -> None:
    binary = bytes(range(256))
    repo.commit(
        {
            "trust/context.yaml": _context("trust", files={"conf/ca.pem": {"source": "./ca.pem"}}),
            "a.yaml": a_script("a", f"cksum < conf/ca.pem >> {ran}; stat -c %a conf/ca.pem >> {ran}", contexts=["trust"]),
            "b.yaml": a_script("b", "true"),
            "trust/ca.pem": "one\n",
        }
    )  # fmt: skip
    assert machine.reconcile().problems == []
    (repo.path / "trust/ca.pem").write_bytes(binary)
    repo.commit()
    look = machine.reconcile()
    assert (look.ran, look.why("root/a")) == (
        {"root/a": "finished"},
        ["contexts: context root/trust: file conf/ca.pem"],
    )
    assert lines(ran)[2:] == ["1313719201 256", "600"]
    machine.restart()
    assert machine.reconcile().ran == {}
    repo.commit({"trust/beside.txt": "nobody mounts this"})
    assert machine.reconcile().ran == {}


def test_files_go_into_the_home_and_may_be_run(repo: Repo, machine: Machine, ran: Path) -> None:
    files = {
        "~/.netrc": "machine example.org",
        "tools/own": {"text": '#!/bin/sh\ncat ~/.netrc; stat -c " %a" ~/.netrc\n', "executable": True},
        "~/bin/also": {"source": "./also.sh", "executable": True},
    }
    run = f"tools/own >> {ran}; ~/bin/also >> {ran}; test ! -e '~'"
    stack = a_script("a", run, source={"path": "src"}, files=files, plan="tools/own; exit 2", autodeploy=False)
    repo.commit({"a.yaml": stack, "also.sh": "#!/bin/sh\necho also\n", "src/x": ""})
    assert machine.reconcile().problems == []
    machine.confirm("root/a")
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert lines(ran) == ["machine example.org 600", "also"]


def _missing(repo: Repo) -> None:
    (repo.path / "ca.pem").unlink()


def _link(repo: Repo) -> None:
    _missing(repo)
    (repo.path / "ca.pem").symlink_to("/etc/passwd")


def _link_above(repo: Repo) -> None:
    (repo.path / "real").mkdir()
    (repo.path / "real/ca.pem").write_text("x")
    (repo.path / "conf").symlink_to("real")
    _write(repo, "./conf/ca.pem")


def _large(repo: Repo) -> None:
    (repo.path / "ca.pem").write_bytes(b"x" * (2 * 1024 * 1024 + 1))


def _directory(repo: Repo) -> None:
    _missing(repo)
    (repo.path / "ca.pem").mkdir()
    (repo.path / "ca.pem/x").write_text("x")


def _write(repo: Repo, source: str) -> None:
    (repo.path / "c.yaml").write_text(_context("trust", files={"ca.pem": {"source": source}}))


@pytest.mark.parametrize(
    ("breaks", "code"),
    [
        pytest.param(_missing, "file-not-found", id="missing"),
        pytest.param(_link, "file-not-found", id="a link"),
        pytest.param(_link_above, "file-not-found", id="through a link"),
        pytest.param(_directory, "file-not-found", id="a directory"),
        pytest.param(_large, "file-too-large", id="too large"),
        pytest.param(lambda repo: _write(repo, "../ca.pem"), "invalid-path", id="above the repository"),
        pytest.param(lambda repo: _write(repo, "/etc/passwd"), "invalid-path", id="absolute"),
        pytest.param(lambda repo: _write(repo, "a/../../ca.pem"), "invalid-path", id="out by a detour"),
    ],
)
def test_a_file_that_cannot_be_had_keeps_the_last_version(
    repo: Repo, machine: Machine, ran: Path, breaks: Callable[[Repo], None], code: str
) -> None:
    show = f"cat ca.pem >> {ran}"
    original = {"ca.pem": "good\n", "c.yaml": _context("trust", files={"ca.pem": {"source": "./ca.pem"}})}
    repo.commit({**original, "a.yaml": a_script("a", show, contexts=["trust"])})
    machine.reconcile()
    breaks(repo)
    repo.commit()
    look = machine.reconcile()
    assert (look.ran, look.problems) == ({}, [f"c.yaml: error: {code}"])
    for _ in range(2):
        # What is in force runs with the content that it had, in this process and in the next.
        machine.restart()
        operations.request_run(
            machine.service.store, next(iter(machine.look().stacks.values())).id, "ada", utc_now(), "a test"
        )
        assert machine.reconcile().ran == {"root/a": "finished"}
    assert lines(ran) == ["good"] * 3
    repo.git("rm", "-rqf", "--ignore-unmatch", "ca.pem")
    repo.commit({**original, "ca.pem": "better\n"})
    assert (machine.reconcile().problems, lines(ran)[3:]) == ([], ["better"])


HOOKS = {
    "before": {phase: [f'echo "$WHO before {phase}" >> "$RAN"'] for phase in ("init", "plan", "apply")},
    "after": {phase: [f'echo "$WHO after {phase}" >> "$RAN"'] for phase in ("init", "plan", "apply")},
}


def _hooks(who: str) -> dict[str, Any]:
    return {
        when: {phase: [line.replace("$WHO", who) for line in lines] for phase, lines in phases.items()}
        for when, phases in HOOKS.items()
    }


END = {"after": {"run": ['echo "end: $STATION_RESULT $STATION_REASON" >> "$RAN"']}}


def test_hooks_of_all_layers_lie_around_every_phase_like_shells(repo: Repo, machine: Machine, ran: Path) -> None:
    repo.commit(
        {
            "far.yaml": _context("far", attach={}, env={"RAN": str(ran)}, hooks=_hooks("far")),
            "named.yaml": _context("named", hooks=_hooks("named")),
            "end.yaml": _context("end", attach={}, hooks=END),
            "a.yaml": a_script("a", 'echo apply >> "$RAN"', contexts=["named"], hooks=_hooks("own")),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}
    order = ["far", "named", "own"]
    expected = []
    for phase in ("init", "plan", "apply"):
        expected += [f"{who} before {phase}" for who in order]
        expected += ["apply"] if phase == "apply" else []
        expected += [f"{who} after {phase}" for who in order[::-1]]
    assert lines(ran) == [*expected, "end: succeeded Applied"]
    log = machine.log(look.runs[0])
    assert "hook before.plan of Context root/named: " in log
    assert "hook after.run of Context root/end: " in log


@pytest.mark.parametrize(
    ("spec", "status", "end"),
    [
        pytest.param({"plan": "exit 1"}, "failed", ["end: failed ToolFailed"], id="the plan fails"),
        pytest.param({"plan": "exit 0"}, "finished", ["end: succeeded NoChanges"], id="nothing to change"),
        pytest.param({"apply": "exit 1"}, "failed", ["end: failed ToolFailed"], id="the apply fails"),
        pytest.param(
            {"hooks": {"before": {"init": ["exit 3"]}}}, "failed", ["end: failed HookFailed"], id="a hook before fails"
        ),
        pytest.param({"autodeploy": False}, "unconfirmed", [], id="it waits for somebody: it is not over"),
        pytest.param({"files": {"x/y": "1"}, "source": {"path": "src"}}, "failed", [], id="it never began"),
    ],
)
def test_hooks_for_the_end_run_once_where_a_run_that_began_ends(  # noqa: PLR0917
    repo: Repo, machine: Machine, ran: Path, spec: dict[str, Any], status: str, end: list[str]
) -> None:
    apply = spec.pop("apply", "true")
    repo.commit(
        {
            "end.yaml": _context("end", attach={}, env={"RAN": str(ran)}, hooks=END),
            "a.yaml": a_script("a", apply, **spec),
            "src/x": "a file",
        }
    )
    assert (machine.reconcile().ran, lines(ran)) == ({"root/a": status}, end)
    if status == "unconfirmed":
        machine.discard("root/a")
        assert (machine.reconcile().ran, lines(ran)) == ({"root/a": "discarded"}, [])
