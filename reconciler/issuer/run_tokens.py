"""What a leg of a run gets to prove who it is: a token for each cloud integration, and the variables around it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.core.issuer_keys import TOKEN_LIFE
from reconciler.core.phases import Leg
from reconciler.core.runs import Run
from reconciler.credentials.vault import VaultReader
from reconciler.issuer.assuming import NOTE, Assumption, as_credentials, config_file, dies
from reconciler.issuer.issuer import Issuer, expiry
from reconciler.runner.contract.job import Identity
from reconciler.runner.processes.sandbox import SEEN
from spaces.effective.integrations import (
    AWS_FILE,
    GOOGLE_FILE,
    KUBE_FILE,
    ByPhase,
    IdentityFile,
    RunName,
    UsedIntegration,
)
from spaces.effective.stack import EffectiveStack
from spaces.model.integration import APPLY, PLAN, CloudIntegrationSpec, Cluster, Provider

_TAGS = "https://aws.amazon.com/tags"
_STS = "https://sts.googleapis.com/v1/token"
_IMPERSONATION = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{}:generateAccessToken"
_TIMES = ("iss", "iat", "nbf", "exp", "jti")
_RENEWAL = "stationkeeper:renewal"
_AHEAD = TOKEN_LIFE * 1.1


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a token is about: a run in one of its legs."""

    run: Run
    leg: Leg
    stack: EffectiveStack

    @property
    def phase(self) -> str:
        """What the run may do now: `plan` or `apply`. A task's command belongs to the second leg."""
        return APPLY if self.leg is Leg.APPLY else PLAN


def identify(issuer: Issuer, bearer: Bearer, now: datetime) -> Identity:
    """Return the files and variables of a leg; StoreError where the issuer's keys cannot be had, or CannotAssume."""
    files: dict[str, str] = {}
    for used in bearer.stack.integrations:
        if used.spec.provider is Provider.VAULT:
            continue  # the service reads from it for the run
        if used.spec.by_service:
            files[used.token_file] = _assumed(issuer, _note(used, bearer), now)
            files[AWS_FILE] = config_file(str(SEEN.identity / used.token_file))
            continue
        files[used.token_file] = issuer.sign(_claims(used, bearer), now)
        if used.spec.provider is Provider.GCP:
            files[GOOGLE_FILE] = _google(used, bearer.phase)
        if used.spec.kubernetes is not None:
            files[KUBE_FILE] = _kubeconfig(used, used.spec.kubernetes)
    texts, paths = {}, {}
    for name, value in bearer.stack.env.items():
        match value.value:
            case ByPhase():
                texts[name] = value.value.in_phase(bearer.phase)
            case RunName():
                texts[name] = bearer.run.id
            case IdentityFile(file):
                paths[name] = file
    return Identity(files, paths, texts)


def vault_reader(issuer: Issuer, bearer: Bearer, now: datetime) -> VaultReader | None:
    """Return what reads a leg's secrets from Vault, with a token of the leg's own; None for a stack without Vault."""
    for used in bearer.stack.integrations:
        spec = used.spec
        if spec.provider is Provider.VAULT and spec.address is not None:
            token = issuer.sign(_claims(used, bearer), now)
            return VaultReader(spec.address, spec.mount, spec.role(bearer.phase), token)
    return None


def renewed(issuer: Issuer, token: str, run: str, now: datetime) -> str | None:
    """Return what takes the place of a run's token; None while it is good for long enough, or is none of ours.

    A token says itself what it is about, so nothing else has to be remembered across a restart of the service.
    Credentials have a token beside them that says it. CannotAssume where AWS gives no new ones.
    """
    credentials = as_credentials(token)
    claims = issuer.read(token if credentials is None else str(credentials.get(NOTE)), now)
    if claims is None or claims.get("runId") != run:
        return None
    left = (expiry(claims) if credentials is None else dies(credentials)) - now
    # More than its life is left where a clock was ahead and went back: nobody takes a token from the future.
    if TOKEN_LIFE / 2 < left < _AHEAD:
        return None
    claims = {name: value for name, value in claims.items() if name not in _TIMES}
    return issuer.sign(claims, now) if credentials is None else _assumed(issuer, claims, now)


def _assumed(issuer: Issuer, note: Mapping[str, Any], now: datetime) -> str:
    """Return credentials of the role that a note names, with the note."""
    tags = note.get(_TAGS, {}).get("principal_tags", {})
    wanted = Assumption(
        role=note["role"],
        external_id=note["sub"],
        session=note["runId"],
        region=note.get("region"),
        tags={key: values[0] for key, values in tags.items()},
        policy=note.get("policy"),
        policy_arns=tuple(note.get("policyArns", ())),
    )
    return json.dumps({**wanted.take_on(), NOTE: issuer.sign(note, now)})


def _note(used: UsedIntegration, bearer: Bearer) -> dict[str, Any]:
    """Return what the service has to know to renew credentials: no cloud takes a token with this audience."""
    role = used.spec.identity(bearer.phase)
    more: dict[str, Any] = {
        "aud": _RENEWAL,
        "role": str(role),
        "region": used.spec.region,
        "policy": role and role.policy,
    }
    if role is not None and role.policy_arns:
        more["policyArns"] = list(role.policy_arns)
    return {name: value for name, value in (_claims(used, bearer) | more).items() if value is not None}


def _claims(used: UsedIntegration, bearer: Bearer) -> dict[str, Any]:
    spec, run, stack = used.spec, bearer.run, bearer.stack
    claims = {
        "aud": spec.aud,
        "sub": spec.subject_of(
            stack.id.space, "/".join(reversed(stack.lineage)), stack.id.name, run.kind, bearer.phase
        ),
        "space": stack.id.space,
        "spacePath": "/".join(reversed(stack.lineage)),
        "stack": stack.id.name,
        "runId": run.id,
        "kind": run.kind,
        "phase": bearer.phase,
        "revision": run.revision,
        "ref": run.proposes.ref if run.proposes is not None else None,
        "person": run.person,
        "tool": stack.spec.tool.value,
    }
    return {name: value for name, value in claims.items() if value is not None} | _tags(spec, bearer)


def _tags(spec: CloudIntegrationSpec, bearer: Bearer) -> dict[str, Any]:
    if not spec.session_tags:
        return {}
    stack = bearer.stack.id
    tags = {"space": stack.space, "stack": stack.name, "kind": str(bearer.run.kind), "phase": bearer.phase}
    return {_TAGS: {"principal_tags": {key: [value] for key, value in tags.items()}}}


def _google(used: UsedIntegration, phase: str) -> str:
    """Return the file that tells Google's libraries how to exchange the token; there is no secret in it."""
    account = used.spec.role(phase)
    content: dict[str, Any] = {
        "type": "external_account",
        "audience": used.spec.aud,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": _STS,
        "credential_source": {"file": str(SEEN.identity / used.token_file)},
    }
    if account:
        content["service_account_impersonation_url"] = _IMPERSONATION.format(account)
    return json.dumps(content, indent=2) + "\n"


def _kubeconfig(used: UsedIntegration, cluster: Cluster) -> str:
    """Return a kubeconfig, as JSON, which is YAML, too: kubectl and its libraries read the token's file anew."""
    name, where = used.ref.name, {"server": cluster.server}
    if cluster.certificate_authority is not None:
        where["certificate-authority-data"] = base64.b64encode(cluster.certificate_authority.encode()).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": where}],
        "users": [{"name": name, "user": {"tokenFile": str(SEEN.identity / used.token_file)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(content, indent=2) + "\n"
