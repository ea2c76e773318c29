"""Secrets from where they are kept to the run that gets them, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from reconciler.core.runs import RunStatus
from reconciler.credentials.sealing import seal
from spaces.model.sealed import SealedPlace, read, write
from spaces.names import Kind, SpaceName
from tests.e2e.station import Repo, a_script, document
from tests.integration.git.http_server import GitServer
from tests.integration.loop.machine import Look, Machine
from tests.tools.encrypting import age_key, encrypted

VALUE = "hunter2-hunter2"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "secrets" / "root").mkdir(parents=True)
    return tmp_path / "secrets"


@pytest.fixture
def machine(repo: Repo, new_machine: Callable[..., Machine], secrets: Path) -> Machine:
    return new_machine(repo.url, secrets_dir=secrets, env_allowed=("STATION_TEST_TOKEN",))


def put(path: Path, text: str = VALUE + "\n", mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def sealed(machine: Machine, key: str, value: str = VALUE, kind: Kind = Kind.STACK, name: str = "a") -> str:
    recipient = machine.service.ports.recipient
    return seal(value, SealedPlace.of(kind, SpaceName("root"), name, key), recipient)


def test_a_run_gets_its_secrets_and_only_masks_are_kept(
    repo: Repo, machine: Machine, secrets: Path, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATION_TEST_TOKEN", "env-secret-1234")
    put(secrets / "root" / "token")
    put(secrets / "root" / "key", "first-line-of-a-key\nsecond-line-of-a-key\n")
    env = {
        "A": {"file": "token"},
        "B": {"env": "STATION_TEST_TOKEN"},
        "C": {"sealed": sealed(machine, "C", "open-sesame-1")},
    }
    shared = {"D": {"sealed": sealed(machine, "D", "of-the-context", Kind.CONTEXT, "common")}}
    script = f'printf "%s|%s|%s|%s\\n" "$A" "$B" "$C" "$D" | tee {ran}; cat key >> {ran}; stat -c %a key; cat key'
    repo.commit(
        {
            "c.yaml": document("Context", "common", {"env": shared}),
            "a.yaml": a_script("a", script, env=env, files={"key": {"file": "key"}}, contexts=["common"]),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}
    assert ran.read_text() == (
        f"{VALUE}|env-secret-1234|open-sesame-1|of-the-context\nfirst-line-of-a-key\nsecond-line-of-a-key\n"
    )
    log = machine.log(look.runs[0])
    assert "***|***|***|***\n600\n***\n" in log
    assert "line-of-a-key" not in log
    effective = machine.service.loop.follower.world.effective(look.stacks["root/a"].id)
    assert VALUE not in repr(effective)


def test_what_cannot_be_had_is_that_stack_s_problem_until_it_can(repo: Repo, machine: Machine, secrets: Path) -> None:
    repo.commit(
        {
            "a.yaml": a_script("a", "echo a", env={"A": {"file": "token"}, "B": {"env": "HOME"}}),
            "b.yaml": a_script("b", "echo b"),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/b": "finished"}
    ready = look.stacks["root/a"].desired
    assert ready is not None
    assert ready.problem is not None
    assert ready.problem.reason == "SecretUnreadable"
    assert ready.problem.message == (
        "A of Stack root/a, secret file token: the secret file token of root cannot be read: No such file or directory; "
        "B of Stack root/a, variable HOME of the service: the variable HOME is not in the setting env_allowed"
    )
    put(secrets / "root" / "token", mode=0o644)
    machine.reconcile()
    repo.commit({"a.yaml": a_script("a", "echo a", env={"A": {"file": "token"}})})
    look = machine.reconcile()
    assert look.runs == []
    desired = look.stacks["root/a"].desired
    assert desired is not None
    assert desired.problem is not None
    assert "can be read by everybody" in desired.problem.message
    put(secrets / "root" / "token")
    assert machine.reconcile().ran == {"root/a": "finished"}
    put(secrets / "root" / "token", "another-value-1")
    assert machine.reconcile().runs == [], "another value of the same secret starts nothing"


@pytest.mark.parametrize("forged", [False, True], ids=["plain", "with other sums"])
def test_a_copy_elsewhere_gets_nothing(*, repo: Repo, machine: Machine, forged: bool) -> None:
    text = sealed(machine, "A", name="other")
    if forged:
        text = write(read(text), SealedPlace.of(Kind.STACK, SpaceName("root"), "a", "A"))
    repo.commit({"a.yaml": a_script("a", "echo $A", env={"A": {"sealed": text}}), "b.yaml": a_script("b", "echo b")})
    look = machine.reconcile()
    assert look.ran == {"root/b": "finished"}
    if forged:
        desired = look.stacks["root/a"].desired
        assert desired is not None
        assert desired.problem is not None
        assert "is sealed for A of Stack root/other, but used as A of Stack root/a" in desired.problem.message
    else:
        assert look.problems == ["a.yaml: error: sealed-elsewhere"]


def problem(look: Look) -> str | None:
    desired = look.stacks["inner/a"].desired
    return desired.problem.reason if desired is not None and desired.problem is not None else None


def test_secrets_kept_by_the_name_of_a_space_stay_until_the_space_moves(
    repo: Repo, machine: Machine, secrets: Path, ran: Path
) -> None:
    """As an earlier version kept them; this one notes where the spaces are when it starts for the first time."""
    files = {
        "top/space.yaml": document("Space", "top", {}),
        "top/inner/space.yaml": document("Space", "inner", {"parent": "top"}),
        "other/space.yaml": document("Space", "other", {}),
    }
    repo.commit(files)
    machine.reconcile()
    (secrets / "inner").mkdir()
    put(secrets / "inner" / "token")
    value = seal(VALUE, SealedPlace.of(Kind.STACK, "inner", "a", "B"), machine.service.ports.recipient)
    script = a_script("a", f'echo "$A $B" > {ran}', env={"A": {"file": "token"}, "B": {"sealed": value}})
    repo.commit({"top/inner/a.yaml": script})
    assert problem(machine.reconcile()) == "SecretUnreadable"

    with machine.service.store.writing() as transaction:
        transaction.put_configuration(replace(transaction.configuration(), by_name=None))
    machine.restart()
    assert machine.reconcile().ran == {"inner/a": "finished"}
    assert ran.read_text() == f"{VALUE} {VALUE}\n"

    machine.restart()
    repo.commit({"top/inner/space.yaml": document("Space", "inner", {"parent": "other"})})
    moved = machine.reconcile()
    assert (moved.runs, problem(moved)) == ([], "SecretUnreadable")
    (secrets / "other" / "inner").mkdir(parents=True)
    put(secrets / "other" / "inner" / "token")
    value = seal(VALUE, SealedPlace.of(Kind.STACK, "other/inner", "a", "B"), machine.service.ports.recipient)
    repo.commit(
        {
            "top/inner/a.yaml": a_script(
                "a", f'echo "$A $B" > {ran}', env={"A": {"file": "token"}, "B": {"sealed": value}}
            )
        }
    )
    assert machine.reconcile().ran == {"inner/a": "finished"}


def test_a_new_key_in_front_leaves_what_was_sealed_before_working(repo: Repo, machine: Machine) -> None:
    env = {"A": {"sealed": sealed(machine, "A")}}
    path = machine.settings.data_dir / "sealing.key"
    machine.close()
    path.write_text(f"{pyrage.x25519.Identity.generate()}\n{path.read_text()}")
    env["B"] = {"sealed": sealed(machine, "B")}
    repo.commit({"a.yaml": a_script("a", 'test "$A" = "$B"', env=env)})
    assert machine.reconcile().ran == {"root/a": "finished"}
    # Without the old one, what was sealed for it does not open any more.
    machine.close()
    path.write_text(path.read_text().splitlines()[0])
    desired = machine.reconcile().stacks["root/a"].desired
    assert desired is not None
    assert desired.problem is not None
    assert desired.problem.message.startswith(
        "A of Stack root/a, sealed here: the sealed value is for a key that this installation does not have"
    )


def test_a_repository_takes_sealed_credentials(repo: Repo, machine: Machine, tmp_path: Path) -> None:
    infra = Repo(tmp_path / "remotes" / "infra")
    infra.commit({"live/run.sh": "echo a\n"})
    server = GitServer(tmp_path / "remotes", user_and_password=f"git:{VALUE}")
    try:
        password = {"sealed": sealed(machine, "password", kind=Kind.REPOSITORY, name="infra")}
        spec = {"url": f"{server.url}/infra", "credentials": {"password": password}}
        script = a_script("a", "sh run.sh", source={"repository": "infra", "path": "live"})
        repo.commit({"i.yaml": document("Repository", "infra", spec), "a.yaml": script})
        assert machine.reconcile().ran == {"root/a": "finished"}
    finally:
        server.stop()


def test_what_takes_over_a_process_needs_the_operators_yes(repo: Repo, machine: Machine, ran: Path) -> None:
    env = {"PYTHONPATH": "/somewhere", "TF_CLI_ARGS_plan": "-x"}
    repo.commit({"a.yaml": a_script("a", f"echo $PYTHONPATH > {ran}", env=env), "b.yaml": a_script("b", "echo b")})
    look = machine.reconcile()
    assert look.ran == {"root/b": "finished"}
    desired = look.stacks["root/a"].desired
    assert desired is not None
    assert desired.problem is not None
    assert desired.problem.reason == "EnvNotAllowed"
    assert desired.problem.message == (
        "PYTHONPATH of Stack root/a, TF_CLI_ARGS_plan of Stack root/a takes over a process: "
        "the operator must list it in the setting env_takeover_allowed"
    )
    machine.restart(env_takeover_allowed=("PYTHONPATH", "TF_CLI_ARGS*"))
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert ran.read_text() == "/somewhere\n"


def test_secret_files_do_not_wait_with_a_run_that_waits(repo: Repo, machine: Machine, secrets: Path, ran: Path) -> None:
    put(secrets / "root" / "key", "first-line-of-a-key\n")
    files = {"~/deep/key": {"file": "key"}, "plain": "in the document"}
    show, plan = "cat plain ~/deep/key", "cat ~/deep/key plain; exit 2"
    script = a_script("a", f"{show} > {ran}", plan=plan, files=files, autodeploy=False)
    repo.commit({"a.yaml": script})
    machine.reconcile()
    run = machine.run_of("root/a", RunStatus.UNCONFIRMED)
    kept = [path for path in machine.settings.data_dir.rglob("*") if path.is_file()]
    assert any(path.read_bytes() == b"in the document" for path in kept)
    assert not any(b"first-line-of-a-key" in path.read_bytes() for path in kept)
    put(secrets / "root" / "key", "another-one-by-now\n")
    machine.confirm("root/a")
    assert machine.reconcile().ran == {"root/a": "finished"}
    assert ran.read_text() == "in the documentanother-one-by-now\n"
    assert "one-by-now" not in machine.log(run)


def test_who_only_looks_judges_nothing_by_settings_of_their_own(
    repo: Repo, machine: Machine, secrets: Path, tmp_path: Path
) -> None:
    put(secrets / "root" / "token")
    repo.commit({"a.yaml": a_script("a", "true", env={"A": {"file": "token"}})})
    assert machine.reconcile().sync == {"root/a": "Synced"}
    machine.close()
    command = [sys.executable, "-m", "reconciler", "stacks", "--data-dir", str(machine.settings.data_dir), "-o", "json"]
    looked = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert [(it["id"], it["sync"], it["reason"]) for it in json.loads(looked.stdout)] == [
        ("root/a", "Synced", "UpToDate")
    ]


def test_a_sops_file_opens_for_its_space_alone(
    repo: Repo, new_machine: Callable[..., Machine], ran: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    recipient = age_key(keys / "root/keys.txt")
    age_key(keys / "shop/keys.txt")
    machine = new_machine(repo.url, sops_keys_dir=keys)
    file = encrypted(f"db: {{password: {VALUE}}}\ntoken: a-token-of-length\n", recipient)
    blueprint = {
        "version": "1",
        "inputs": [{"name": "token", "type": "secret"}],
        "template": [
            {
                "kind": "Stack",
                "metadata": {"name": "b"},
                "spec": {
                    "tool": "script",
                    "script": {"apply": f'echo "$T" >> {ran}; echo "$T"'},
                    "env": {"T": "${{ inputs.token }}"},
                },
            }
        ],
    }
    instance = {"blueprint": "one", "version": "1", "inputs": {"token": {"sops": "secrets/prod.yaml#token"}}}
    env = {"A": {"sops": "secrets/prod.yaml#db/password"}}
    files = {"whole.yaml": {"sops": "secrets/prod.yaml"}}
    script = f'echo "$A" >> {ran}; echo "$A"; grep -c password: whole.yaml >> {ran}'
    repo.commit(
        {
            "shop/space.yaml": document("Space", "shop", {"parent": "root"}),
            "apps/a.yaml": a_script("a", script, env=env, files=files),
            "apps/secrets/prod.yaml": file,
            "blueprints/one.yaml": document("Blueprint", "one", blueprint),
            "apps/b.yaml": document("BlueprintInstance", "b", instance),
            "shop/stolen.yaml": file,
            "shop/c.yaml": a_script("c", f'echo "$A" >> {ran}', env={"A": {"sops": "stolen.yaml#db/password"}}),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished", "root/b": "finished"}
    assert sorted(ran.read_text().splitlines()) == sorted([VALUE, "1", "a-token-of-length"])
    for run in look.runs:
        assert "***" in machine.log(run)
        assert VALUE not in machine.log(run)
    stolen = look.stacks["shop/c"].desired
    assert stolen is not None
    assert stolen.problem is not None
    assert "encrypted to none of the age keys of shop" in stolen.problem.message
    effective = machine.service.loop.follower.world.effective(look.stacks["root/a"].id)
    assert VALUE not in repr(effective)
    repo.commit(
        {"apps/secrets/prod.yaml": encrypted("db: {password: another-password}\ntoken: other-token-1\n", recipient)}
    )
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished", "root/b": "finished"}, "the content of the file counts"
    assert look.why("root/a") == ["spec: env A, file whole.yaml"]
    repo.commit({"apps/secrets/prod.yaml": encrypted("db: {}\ntoken: other-token-1\n", recipient)})
    assert machine.reconcile().problems == ["apps/a.yaml: error: invalid-sops"]
