"""The digest of a stack: short hashes of everything that goes into its run, by component and named item.

Only what takes effect counts: a context's value that the stack overrides is not in here, so changing it starts nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, assert_never

from reconciler.core.state import VERSION, Component, Fingerprint
from spaces.documents.secrets import SopsSecret
from spaces.effective.integrations import ByPhase, IdentityFile, RunName, UsedIntegration
from spaces.effective.policies import Guardrail
from spaces.effective.stack import Content, EffectiveStack, Origin, OutputOf, RepositoryFile
from spaces.model.integration import APPLY, PLAN
from spaces.model.policy import PolicyType
from spaces.model.secrets import SecretRef
from spaces.model.stack import StackSpec
from spaces.names import Kind, Revision


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """What a stack's source is at one revision: the Git id of every path that it uses."""

    revision: Revision
    entries: Mapping[str, str]
    """Repository-relative path -> Git object id."""
    facts: Mapping[str, Any] = field(default_factory=dict)


JUDGING = frozenset({PolicyType.PLAN, PolicyType.APPROVAL})
"""The policies that say whether a plan is applied; the others only steer when there is one, or tell of it."""


def short_hash(value: object) -> str:
    """Hash anything that JSON can say into 24 hexadecimal digits."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
    return _remembered_hash(text) if len(text) <= _SHORT else _hash(text)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=12).hexdigest()


_SHORT = 100
# Stacks have much in common: most short values were hashed before, and equal hashes take room once.
_remembered_hash = lru_cache(maxsize=2048)(_hash)


def options(spec: StackSpec) -> dict[str, Any]:
    """Return the settings under the tool's own key that differ from their defaults, in the keys of the document."""
    settings = spec.settings()
    return {} if settings is None else dict(settings.model_dump(by_alias=True, exclude_defaults=True, mode="json"))


def fingerprint(stack: EffectiveStack, source: SourceSnapshot | None) -> Fingerprint:
    """Gather the fingerprint of a stack from its effective configuration and its source."""
    own = {f"{stack.spec.tool}.{key}": short_hash(value) for key, value in options(stack.spec).items()}
    if stack.source is not None:
        own["source path"] = short_hash(stack.source.path)
        if stack.source.repository is not None:
            own["source repository"] = short_hash(str(stack.source.repository))
    for key, secret in stack.secrets.items():
        if isinstance(secret.value, SopsSecret):  # of others the tool's settings say all that counts
            own[f"secret {key}"] = short_hash(_said(secret.value))
    shared: dict[str, str] = {}
    clouds = {f"{used.ref.space}/{used.ref.name} token": _token(used) for used in stack.integrations}
    for origin, item, value in _items(stack):
        if origin.ref.kind is Kind.STACK:
            own[item] = short_hash(value)
        else:
            others = clouds if origin.ref.kind is Kind.CLOUD_INTEGRATION else shared
            others[f"{origin.ref.space}/{origin.ref.name} {item}"] = short_hash(value)
    components: dict[Component, Mapping[str, str]] = {
        Component.SPEC: own,
        Component.TOOL: {"name": str(stack.spec.tool), "version": stack.spec.tool_version or ""},
    }
    if stack.made is not None:
        title = stack.made.title
        components[Component.SPEC] = {}
        made = {f"{title} {item}": value for item, value in own.items()}
        components[Component.BLUEPRINT] = {f"{title} {VERSION}": stack.made.version, **made}
    more = {
        Component.CONTEXTS: shared,
        Component.INTEGRATIONS: clouds,
        Component.POLICIES: judging(stack),
    }
    components |= {component: items for component, items in more.items() if items}
    if source is not None:
        components[Component.SOURCE] = dict(source.entries)
    return Fingerprint(components)


def _token(used: UsedIntegration) -> str:
    """Hash what the token of an integration says, and whom it opens."""
    spec = used.spec
    roles = [spec.role(PLAN), spec.role(APPLY)]
    how = [*([spec.assumed_by] if spec.by_service else []), *roles]
    for role in (spec.plan, spec.apply):
        how += [role.policy or "", *role.policy_arns] if role is not None and (role.policy or role.policy_arns) else []
    how += [] if spec.kubernetes is None else [spec.kubernetes.server, spec.kubernetes.certificate_authority or ""]
    return short_hash([spec.provider, spec.aud, spec.subject, spec.session_tags, how])


def judging(stack: EffectiveStack) -> dict[str, str]:
    """Return the policies that a run of the stack has to pass, each with the hash of all that it says."""
    return {
        policy.name: short_hash(
            [policy.spec.type, policy.spec.enforcement, policy.spec.author_counts, policy.rego.text, *_params(policy)]
        )
        for policy in stack.policies
        if policy.spec.type in JUDGING
    }


def _params(policy: Guardrail) -> list[object]:
    # A policy without any has the hash that it had before there were any.
    return [policy.spec.params] if policy.spec.params else []


def push_policies(stack: EffectiveStack) -> str | None:
    """Return one hash of the push policies over a stack, which is no part of its digest; None if there are none."""
    marks = {
        policy.name: short_hash([policy.spec.enforcement, policy.rego.text, *_params(policy)])
        for policy in stack.policies
        if policy.spec.type is PolicyType.PUSH
    }
    return short_hash(marks) if marks else None


def _items(stack: EffectiveStack) -> Iterator[tuple[Origin, str, object]]:
    """Walk everything that takes effect, with the document that it comes from."""
    for name, value in stack.env.items():
        if isinstance(value.value, OutputOf):
            continue  # a component of its own, which is made where the outputs are known
        yield value.origin, f"env {name}", _said(value.value)
    for path, value in stack.files.items():
        if isinstance(value.value, OutputOf):
            continue
        said = _said(value.value)
        yield value.origin, f"file {path}", [said, "executable"] if value.executable else said
    for each in stack.git_credentials:
        # Only that it may sign in: what it signs in with, and where, does not change what a run does.
        yield each.origin, f"git credentials of {each.repository.space}/{each.repository.name}", True
    for (when, phase), commands in stack.hooks.items():
        by_origin: dict[Origin, list[str]] = {}
        for command in commands:
            by_origin.setdefault(command.origin, []).append(command.command)
        for origin, lines in by_origin.items():
            yield origin, f"hook {when}.{phase}", lines


def _said(content: Content) -> object:
    """Return what of a value counts: a secret by where it comes from, a file by what is in it."""
    match content:
        case str():
            return content
        case SecretRef():
            return content.model_dump(exclude_none=True)
        case SopsSecret():
            return {"sops": content.keys, "file": hashlib.blake2b(content.data, digest_size=16).hexdigest()}
        case RepositoryFile():
            return [hashlib.blake2b(content.data, digest_size=16).hexdigest()]
        case OutputOf():
            return [str(content.stack), content.output]
        case ByPhase() | IdentityFile() | RunName():
            return [str(content)]
        case _:
            assert_never(content)
