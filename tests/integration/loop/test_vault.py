"""Secrets in Vault: read for a run, as the run, and by nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.credentials import vault as reading
from tests.e2e.station import Repo, a_script, document, lines
from tests.integration.loop.machine import Machine
from tests.tools.sts import Sts
from tests.tools.vault import Vault

ISSUER = "https://station.example.com"
READ_ONLY, ALL = "read-only-password", "the-password-of-applies"


@pytest.fixture
def machine(repo: Repo, new_machine: Callable[..., Machine]) -> Machine:
    return new_machine(repo.url, issuer_url=ISSUER)


@pytest.fixture
def vault(machine: Machine) -> Iterator[Vault]:
    sts = Sts(ISSUER, machine.service.server.url(), {})
    roles = {"look": "space:root:stack:a:*", "change": "space:root:stack:a:kind:*:phase:apply"}
    stored = {
        "secret/data/app": {"data": {"user": READ_ONLY}, "metadata": {}},
        "kv/admin": {"password": ALL, "pin": 12345678},
    }
    readers = {"secret/data/app": {"look", "change"}, "kv/admin": {"change"}}
    with Vault(sts, roles, stored, readers) as vault:
        yield vault


def files(vault: Vault, ran: Path, **more: str) -> dict[str, str | None]:
    spec = {"provider": "vault", "address": vault.address, "plan": {"role": "look"}, "apply": {"role": "change"}}
    env = {"USER_PASSWORD": {"vault": "secret/data/app#user"}}
    script = (
        f'echo "$STATION_PHASE $USER_PASSWORD $VAULT_ADDR" >> {ran}; echo "$USER_PASSWORD"; cat pin 2>/dev/null || true'
    )
    stack = a_script("a", script, plan=f"{script}; exit 2", env=env, integrations=["vault"])
    return {"v.yaml": document("CloudIntegration", "vault", spec), "a.yaml": stack, **more}


def test_a_run_gets_what_its_own_token_opens(repo: Repo, machine: Machine, vault: Vault, ran: Path) -> None:
    other = a_script("b", f"echo $P >> {ran}", env={"P": {"vault": "secret/data/app#user"}}, integrations=["vault"])
    repo.commit(files(vault, ran, **{"b.yaml": other}))
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished", "root/b": "failed"}
    assert lines(ran) == [f"plan {READ_ONLY} {vault.address}", f"apply {READ_ONLY} {vault.address}"]
    fates = {str(run.stack): run for run in look.runs}
    assert READ_ONLY not in machine.log(fates["root/a"])
    assert machine.log(fates["root/a"]).count("***") == 2
    assert (vault.given, vault.live) == (2, {}), "each leg has a token of Vault's, which is revoked"
    assert fates["root/b"].reason == "SecretUnreadable"
    assert "space:root:stack:b:kind:tracked:phase:plan may not have the role look" in fates["root/b"].message


def test_what_only_an_apply_may_read_a_plan_does_not(repo: Repo, machine: Machine, vault: Vault, ran: Path) -> None:
    found = files(vault, ran)
    found["a.yaml"] = a_script("a", "true", env={"P": {"vault": "kv/admin#password"}}, integrations=["vault"])
    repo.commit(found)
    (run,) = machine.reconcile().runs[:1]
    assert (run.reason, run.phase) == ("SecretUnreadable", "prepare")
    assert "kv/admin: it answers 403: permission denied" in run.message
    assert vault.live == {}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("elsewhere", "it answers with a redirect, which is not followed"),
        ("pause", "the answer takes longer than 0.1 s"),
        ("drops", "the answer takes longer than"),
        ("down", "ConnectError"),
        ("no key", "has no key other at secret/data/app"),
    ],
)
def test_a_vault_that_gives_nothing(  # noqa: PLR0917
    repo: Repo, machine: Machine, vault: Vault, ran: Path, what: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = files(vault, ran)
    match what:
        case "elsewhere":
            vault.elsewhere = "http://127.0.0.1:9"
        case "pause":
            vault.pause = 0.5
            monkeypatch.setattr(reading, "SECONDS", 0.1)
        case "drops":
            vault.drops = 0.05
            monkeypatch.setattr(reading, "SECONDS", 0.3)
        case "down":
            found = {name: (text or "").replace(vault.address, "http://127.0.0.1:9") for name, text in found.items()}
        case _:
            found = {name: (text or "").replace("app#user", "app#other") for name, text in found.items()}
    repo.commit(found)
    (run,) = machine.reconcile().runs[:1]
    assert run.reason == "SecretUnreadable"
    assert told in run.message
    assert not ran.exists()
