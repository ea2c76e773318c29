"""Runs reach clouds by tokens alone, which a token service checks for real; a plan cannot do what an apply may."""

from __future__ import annotations

import base64
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler import operations
from reconciler.core.issuer_keys import PUBLISHED_BEFORE, SIGNS_FOR, TOKEN_LIFE
from reconciler.core.runs import RunStatus
from reconciler.loop.service import utc_now
from reconciler.runner.contract.directory import RunDirectory
from spaces.names import StackId
from tests.e2e.station import Repo, a_script, document, eventually, lines
from tests.integration.loop.machine import Machine
from tests.needs import needs
from tests.tools.sts import Refused, Sts

ISSUER = "https://station.example.com"
PROGRAM = (Path(__file__).parents[2] / "tools" / "credentials.py").read_text()
PYTHON = shlex.quote(sys.executable)
ROLE = "arn:aws:iam::111122223333:role/"
POOL = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/station"
TENANT = "11111111-2222-3333-4444-555555555555"
LOOKS, CHANGES = "22222222-2222-3333-4444-555555555555", "33333333-2222-3333-4444-555555555555"
PLANNER, APPLIER = "plan@shop.iam.gserviceaccount.com", "apply@shop.iam.gserviceaccount.com"
AWS = {
    "provider": "aws",
    "region": "eu-central-1",
    "plan": {"roleArn": ROLE + "plan"},
    "apply": {"roleArn": ROLE + "apply"},
    "sessionTags": True,
}
AZURE = {"provider": "azure", "tenantId": TENANT, "plan": {"clientId": LOOKS}, "apply": {"clientId": CHANGES}}
GCP = {
    "provider": "gcp",
    "audience": POOL,
    "project": "shop",
    "plan": {"serviceAccount": PLANNER},
    "apply": {"serviceAccount": APPLIER},
}
OIDC = {"provider": "oidc", "audience": "https://vault.example.com", "variable": "VAULT_JWT_FILE"}
CA = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
CLUSTER = {
    "provider": "oidc",
    "audience": "kubernetes",
    "kubernetes": {"server": "https://cluster.example.com:6443", "certificateAuthority": CA},
}
AZURE_AUDIENCE = "api://AzureADTokenExchange"
CLOUDS = "".join(
    document("CloudIntegration", name, spec) + "---\n"
    for name, spec in {"aws": AWS, "azure": AZURE, "gcp": GCP, "vault": OIDC, "cluster": CLUSTER}.items()
)


@pytest.fixture
def machine(repo: Repo, new_machine: Callable[..., Machine]) -> Machine:
    return new_machine(repo.url, issuer_url=ISSUER, tool_path=f"{sys.prefix}/bin:{sys.prefix}:{sys.base_prefix}")


@pytest.fixture
def sts(machine: Machine) -> Iterator[Sts]:
    mine = "space:root:stack:a"
    identities = {
        ROLE + "plan": ("sts.amazonaws.com", f"{mine}:kind:*"),
        ROLE + "apply": ("sts.amazonaws.com", f"{mine}:kind:*:phase:apply"),
        LOOKS: (AZURE_AUDIENCE, f"{mine}:kind:tracked:phase:plan"),
        CHANGES: (AZURE_AUDIENCE, f"{mine}:kind:tracked:phase:apply"),
        POOL: (POOL, "space:root:*"),
        PLANNER: ("", f"{mine}:kind:*:phase:plan"),
        APPLIER: ("", f"{mine}:kind:*:phase:apply"),
    }
    with Sts(ISSUER, machine.service.server.url(), identities) as sts:
        yield sts


def by(cloud: str, to: Path, **env: str) -> str:
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in env.items())
    return f"{settings} {PYTHON} credentials.py {cloud} >> {to}"


def stack(name: str, sts: Sts, apply: str, plan: str | None = None, clouds: tuple[str, ...] = ("aws",)) -> str:
    env = {"AWS_ENDPOINT_URL_STS": sts.url, "STS_URL": sts.url}
    files = {"credentials.py": PROGRAM}
    return a_script(name, apply, plan=plan, integrations=list(clouds), env=env, files=files)


@needs("bwrap")
def test_the_clouds_own_libraries_get_in_by_what_a_run_has(
    repo: Repo, machine: Machine, sts: Sts, tmp_path: Path
) -> None:
    looked, changed, secret, other = (tmp_path / name for name in ("looked", "changed", "secret", "other"))
    kubeconfig, of_cluster = tmp_path / "kubeconfig", tmp_path / "token"
    clouds = ("aws", "azure", "gcp")
    plan = "\n".join(
        [
            *(by(cloud, looked) for cloud in clouds),
            by("aws", looked, AWS_ROLE_ARN=ROLE + "apply"),
            by("azure", looked, AZURE_CLIENT_ID=CHANGES),
            "exit 2",
        ]
    )
    apply = "\n".join(
        [
            *(by(cloud, changed) for cloud in clouds),
            f'echo "$AWS_WEB_IDENTITY_TOKEN_FILE $(stat -c %a "$AWS_WEB_IDENTITY_TOKEN_FILE")" >> {changed}',
            f'cp "$VAULT_JWT_FILE" {secret}; cat "$VAULT_JWT_FILE" "$AWS_WEB_IDENTITY_TOKEN_FILE"',
            f'cp "$KUBECONFIG" {kubeconfig}; cat $(grep -o "/run/station/[^\\"]*" "$KUBECONFIG") > {of_cluster}',
            'base64 -w0 "$VAULT_JWT_FILE"; ! touch /run/station/identity/x',
        ]
    )
    repo.commit(
        {
            "clouds.yaml": CLOUDS,
            "a.yaml": stack("a", sts, apply, plan, ("aws", "azure", "gcp", "vault", "cluster")),
            "b.yaml": stack("b", sts, by("aws", other)),
        }
    )
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished", "root/b": "finished"}, [run.message for run in look.runs]

    names = lines(looked)
    assert [sts.opened[name].identity for name in names[:3]] == [ROLE + "plan", LOOKS, PLANNER]
    plans_subject = "space:root:stack:a:kind:tracked:phase:plan"
    for name, role in zip(names[3:], (ROLE + "apply", CHANGES), strict=True):
        assert f"{plans_subject} may not become {role}" in name, "a plan can do what an apply may"
    names = lines(changed)
    assert [sts.opened[name].identity for name in names[:3]] == [ROLE + "apply", CHANGES, APPLIER]
    assert names[3] == "/run/station/identity/aws.token 600"
    assert "space:root:stack:b:kind:tracked:phase:apply may not become" in lines(other)[0]

    run = next(run for run in look.runs if run.stack.name == "a")
    session = sts.opened[names[0]]
    assert session.session == run.id
    wanted = {"space": "root", "spacePath": "root", "stack": "a", "runId": run.id, "kind": "tracked", "phase": "apply"}
    assert session.claims.items() >= {**wanted, "revision": run.revision, "tool": "script"}.items()
    assert session.claims["https://aws.amazon.com/tags"]["principal_tags"]["stack"] == ["a"]

    cluster = json.loads(kubeconfig.read_text())
    assert cluster["current-context"] == "cluster"
    assert base64.b64decode(cluster["clusters"][0]["cluster"]["certificate-authority-data"]).decode() == CA
    assert sts.check(of_cluster.read_text(), "kubernetes")["phase"] == "apply"

    token = secret.read_text()
    assert sts.check(token, OIDC["audience"])["sub"] == "space:root:stack:a:kind:tracked:phase:apply"
    with pytest.raises(Refused, match="audience"):
        sts.check(token, "sts.amazonaws.com")
    left = [path for path in machine.settings.data_dir.rglob("*") if path.is_file()]
    head = token.partition(".")[0].encode()
    assert [path for path in left if head in path.read_bytes()] == []
    assert machine.log(run).count("***") == 3


def _tokens(machine: Machine) -> dict[str, str]:
    (run,) = machine.service.engine.active()
    return RunDirectory.of(machine.settings.data_dir.absolute(), run).tokens()


def _verified(sts: Sts, token: str, after: timedelta) -> str:
    sts.ahead = after.total_seconds()
    assert sts.check(token, "sts.amazonaws.com")["phase"] == "apply"
    return token.partition(".")[0]


@needs("bwrap")
def test_a_long_apply_always_has_a_token_that_is_good(repo: Repo, machine: Machine, sts: Sts, tmp_path: Path) -> None:
    """Through a restart of the service, and a change of the key that signs."""
    began, go = tmp_path / "began", tmp_path / "go"
    wait = f"touch {began}; while [ ! -e {go} ]; do sleep 0.02; done"
    apply = f'{wait}; cat "$AWS_WEB_IDENTITY_TOKEN_FILE"\n{by("aws", tmp_path / "end")}'
    repo.commit({"clouds.yaml": CLOUDS, "a.yaml": stack("a", sts, apply)})
    loop = machine.service.loop
    loop.look()
    eventually(lambda: loop.step(0.05) is None or began.exists())
    begin, first = utc_now(), _tokens(machine)["aws.token"]
    tokens = {first}
    for minutes in range(0, 181, 10):
        if minutes == 90:
            machine.restart()
            sts.reach = machine.service.server.url()
        after = timedelta(minutes=minutes)
        machine.service.loop.renewal.round(begin + after)
        token = _tokens(machine)["aws.token"]
        _verified(sts, token, after)
        tokens.add(token)
    assert 4 <= len(tokens) <= 8, "it is renewed when half of its life is over, and not all the time"

    listed = SIGNS_FOR - PUBLISHED_BEFORE
    heads = []
    for after in (listed, SIGNS_FOR - TOKEN_LIFE, SIGNS_FOR + timedelta(minutes=1), SIGNS_FOR + timedelta(hours=1)):
        machine.service.loop.renewal.round(begin + after)
        heads.append(_verified(sts, _tokens(machine)["aws.token"], after))
    assert heads[0] == heads[1] != heads[2] == heads[3], "another key signs"

    # What the run ends with is masked in its log, though its process began with another.
    machine.service.loop.renewal.round(begin)
    sts.ahead = 0.0
    last = _tokens(machine)["aws.token"]
    _verified(sts, last, timedelta())
    go.touch()
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}
    assert sts.opened[lines(tmp_path / "end")[0]].identity == ROLE + "apply"
    log = machine.log(look.runs[0])
    assert "***" in log
    assert "eyJ" not in log
    assert not RunDirectory.of(machine.settings.data_dir.absolute(), look.runs[0].id).tokens()


def test_without_an_issuer_nothing_runs_and_with_one_it_does(
    repo: Repo, new_machine: Callable[..., Machine], ran: Path
) -> None:
    machine = new_machine(repo.url)
    apply = f'test -s "$VAULT_JWT_FILE" && echo ok >> {ran}'
    repo.commit({"clouds.yaml": CLOUDS, "a.yaml": a_script("a", apply, integrations=["vault"])})
    look = machine.reconcile()
    assert look.ran == {}
    desired = look.stacks["root/a"].desired
    assert desired is not None
    assert desired.problem is not None
    assert desired.problem.reason == "IssuerUnusable"
    machine.restart(issuer_url=ISSUER)
    look = machine.reconcile()
    assert look.ran == {"root/a": "finished"}
    assert lines(ran) == ["ok"]
    assert look.why("root/a") == ["spec: new stack"]
    repo.commit({"clouds.yaml": CLOUDS.replace("vault.example.com", "bao.example.com")})
    assert machine.reconcile().why("root/a") == ["integrations: integration root/vault: token"]


@needs("bwrap")
def test_the_service_takes_on_roles_for_those_whose_issuer_aws_cannot_reach(
    repo: Repo, machine: Machine, sts: Sts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.restart(issuer_url=None)
    own = {"AWS_ACCESS_KEY_ID": sts.service, "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL_STS": sts.url}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    looked, changed, go = tmp_path / "looked", tmp_path / "changed", tmp_path / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.02; done"
    apply = f"{by('aws', changed)}\n{wait}\n{by('aws', changed)}\ncat /run/station/identity/*.token; env | grep AWS"
    less = {"policy": '{"Version": "2012-10-17", "Statement": []}', "policyArns": ["arn:aws:iam::aws:policy/Reader"]}
    integration = document(
        "CloudIntegration",
        "aws",
        AWS | {"assumedBy": "service", "plan": AWS["plan"] | less, "apply": AWS["apply"] | less},
    )
    repo.commit(
        {
            "clouds.yaml": integration,
            "a.yaml": stack("a", sts, apply, f"{by('aws', looked)}; exit 2"),
            "b.yaml": stack("b", sts, "true"),
        }
    )
    loop = machine.service.loop
    loop.look()
    eventually(lambda: loop.step(0.05) is None or lines(changed))
    assert [sts.opened[name].identity for name in lines(looked) + lines(changed)] == [ROLE + "plan", ROLE + "apply"]
    first = sts.opened[lines(changed)[0]]
    assert first.claims["sub"] == "space:root:stack:a:kind:tracked:phase:apply"
    assert first.claims["tags"] == {"space": "root", "stack": "a", "kind": "tracked", "phase": "apply"}
    assert first.claims["limits"] == [less["policy"], *less["policyArns"]]
    machine.restart()
    machine.service.loop.renewal.round(utc_now())
    assert len(sts.opened) == 2, "they are good for long enough"
    sts.ahead = 2400.0
    machine.service.loop.renewal.round(utc_now() + timedelta(seconds=2400))
    go.touch()
    look = machine.reconcile()
    fates = {str(run.stack): run for run in look.runs}
    run = fates["root/a"]
    assert run.status is RunStatus.FINISHED, run.message
    second = lines(changed)[1]
    assert second != lines(changed)[0]
    assert (sts.opened[second].identity, sts.opened[second].session) == (ROLE + "apply", run.id)
    assert sts.opened[second].claims == first.claims
    log = machine.log(run)
    # The service whose clock is right may have renewed it once more, before the run printed it.
    assert any(name in log for name in [*sts.opened][2:]), "ids are no secrets"
    assert "secret-of" not in log
    assert "session-of" not in log
    assert "eyJ" not in log
    assert "AKIA" not in log, "the service's own identity is none of a run's business"
    assert fates["root/b"].reason == "RoleRefused"
    assert "space:root:stack:b:kind:tracked:phase:plan" in fates["root/b"].message
    assert "secret" not in fates["root/b"].message


def test_tasks_and_the_destruction_of_what_left_git_have_a_token_of_their_own(
    repo: Repo, machine: Machine, sts: Sts, tmp_path: Path
) -> None:
    """In a sandbox that may write to one directory only."""
    own = tmp_path / "own"
    own.mkdir()
    machine.restart(writable_paths=(own,))
    sts.reach = machine.service.server.url()
    spec = OIDC | {"subject": "space:{spacePath}:kind:{kind}:phase:{phase}"}
    destroy = f'cat "$VAULT_JWT_FILE" > {own / "token"}'
    stack = a_script("a", "true", destroy=destroy, onDelete="destroy", space="shop", integrations=["vault"])
    clouds = document("CloudIntegration", "vault", spec, space="shop")
    shop = document("Space", "shop", {"parent": "root"})
    repo.commit({"shop.yaml": shop, "clouds.yaml": clouds, "a.yaml": stack, "b.yaml": a_script("b", "true")})
    machine.reconcile()
    command = f'cat "$VAULT_JWT_FILE" > {own / "token"}'
    operations.request_task(machine.service.store, StackId.parse("shop/a"), command, "user:ada", utc_now())
    assert machine.reconcile().ran == {"shop/a": "finished"}
    claims = sts.check((own / "token").read_text(), OIDC["audience"])
    assert (claims["sub"], claims["person"]) == ("space:root/shop:kind:task:phase:apply", "user:ada")
    repo.commit({"clouds.yaml": None, "a.yaml": None})
    assert machine.reconcile().ran == {"shop/a": "finished"}
    claims = sts.check((own / "token").read_text(), OIDC["audience"])
    assert claims["sub"] == "space:root/shop:kind:destroy:phase:apply"


def test_a_token_that_lies_where_it_does_not_belong_is_not_renewed(
    repo: Repo, machine: Machine, sts: Sts, tmp_path: Path
) -> None:
    """A run without a sandbox could put another run's token, or anything else, into its file."""
    began, go = tmp_path / "began", tmp_path / "go"
    repo.commit(
        {
            "clouds.yaml": CLOUDS,
            "a.yaml": stack("a", sts, f"touch {began}; while [ ! -e {go} ]; do sleep 0.02; done"),
        }
    )
    loop = machine.service.loop
    loop.look()
    eventually(lambda: loop.step(0.05) is None or began.exists())
    issuer = machine.service.ports.issuer
    assert issuer is not None
    (run,) = machine.service.engine.active()
    foreign = issuer.sign({"aud": "x", "sub": "space:prod:phase:apply", "runId": "another"}, utc_now())
    for hours, text in enumerate((foreign, "no token", foreign[:-20] + "A" * 20), 1):
        RunDirectory.of(machine.settings.data_dir.absolute(), run).put_identity("aws.token", text)
        loop.renewal.round(utc_now() + timedelta(hours=hours))
        assert _tokens(machine)["aws.token"] == text
    go.touch()
    assert machine.reconcile().ran == {"root/a": str(RunStatus.FINISHED)}
