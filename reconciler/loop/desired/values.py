"""Opens the values that a run gets: its secrets are read only when its job is built, and go into nothing but the job.

The dispatcher calls `open_values` when it starts a leg. `Places.check` asks the other functions beforehand, for what
would keep a run from getting its values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import assert_never

from reconciler.core.reasons import Reason
from reconciler.core.state import StackProblem
from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.known_hosts import known_hosts
from reconciler.credentials.secrets import SecretSources
from reconciler.credentials.sops import Opened as OpenedFiles
from reconciler.credentials.vault import VaultReader
from reconciler.engine.base import GitAccess
from spaces.documents.secrets import Login, Secret, SopsSecret
from spaces.effective.integrations import ByPhase, IdentityFile, OfRun, RunName
from spaces.effective.stack import Content, EffectiveStack, GitCredential, OutputOf, RepositoryFile, Value
from spaces.model.secrets import SecretRef
from spaces.model.variables import VariableClass, classify_variable


@dataclass(frozen=True, slots=True)
class Opened:
    """What a run gets, as it is. `masked` are the values in it that must not be stored or shown."""

    env: Mapping[str, str] = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)
    secret_files: Mapping[str, str] = field(repr=False)
    masked: tuple[str, ...] = field(repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those in the tool's own settings, by the key that each is sealed for."""
    executable: frozenset[str] = frozenset()
    """The files that may be run."""
    git: tuple[GitAccess, ...] = field(default=(), repr=False)


def open_values(stack: EffectiveStack, secrets: SecretSources, vault: VaultReader | None = None) -> Opened:
    """Return the environment and the mounted files of a stack's run; SecretUnreadable names the one that fails.

    Outputs of other stacks are not among them: those are read from the store. Nor is what only a run knows.
    """
    masked: list[str] = []
    in_files: OpenedFiles = {}

    def opened(key: str, value: Value) -> bytes:
        content: Content = value.value
        match content:
            case str():
                return content.encode()
            case RepositoryFile():
                return content.data
            case SecretRef() | SopsSecret():
                masked.append(secrets.for_run(content, stack.sealed_place(value.origin.ref, key), vault, in_files))
                return masked[-1].encode()
            case OutputOf() | ByPhase() | IdentityFile() | RunName():
                raise TypeError(f"{content} is not read with the configuration")
            case _:
                assert_never(content)

    own = {key: value for key, value in stack.env.items() if not isinstance(value.value, OutputOf | OfRun)}
    env = {key: _variable(value, opened(key, value)) for key, value in own.items()}
    mounted = {key: value for key, value in stack.files.items() if not isinstance(value.value, OutputOf)}
    files = {key: opened(key, value) for key, value in mounted.items()}
    secret = {key: files.pop(key).decode() for key, value in stack.files.items() if isinstance(value.value, Secret)}
    of_tool = {key: _variable(value, opened(key, value)) for key, value in stack.secrets.items()}
    executable = frozenset(key for key, value in stack.files.items() if value.executable)
    logins = ((each, each.login) for each in stack.git_credentials)
    git = tuple(_git_access(stack, each, login, secrets, in_files) for each, login in logins if login is not None)
    masked += [text for access in git for text in (access.password, access.ssh_key) if text]
    return Opened(env, files, secret, tuple(dict.fromkeys(masked)), of_tool, executable, git)


def _git_access(
    stack: EffectiveStack, access: GitCredential, login: Login, secrets: SecretSources, in_files: OpenedFiles
) -> GitAccess:
    value = secrets.for_run(login.secret, stack.sealed_place(access.repository, login.key), opened=in_files)
    if login.key == "sshKey":
        return GitAccess(access.url, login.username, ssh_key=value, known_hosts=known_hosts(access.url))
    password = value.strip()
    if not password.isprintable():
        raise SecretUnreadable(f"{access.repository}, {login.secret}: it is not one line of text")
    return GitAccess(access.url, login.username, password=password)


def _variable(value: Value, data: bytes) -> str:
    text = data.decode()
    # A file that somebody wrote ends with a line's end, which is no part of a variable.
    return text.removesuffix("\n").removesuffix("\r") if isinstance(value.value, Secret) else text


def unreadable(stack: EffectiveStack, secrets: SecretSources) -> StackProblem | None:
    """Return which secrets a run of a stack could not get."""
    wrong = [
        problem
        for values in (stack.env, stack.files, stack.secrets)
        for key, value in values.items()
        if isinstance(value.value, Secret)
        and (problem := secrets.problem(value.value, stack.sealed_place(value.origin.ref, key))) is not None
    ]
    for access in stack.git_credentials:
        if (login := access.login) is None:
            continue
        problem = secrets.problem(login.secret, stack.sealed_place(access.repository, login.key))
        if problem is not None:
            wrong.append(problem)
    return StackProblem(Reason.SECRET_UNREADABLE, "; ".join(dict.fromkeys(wrong))) if wrong else None


def not_allowed(stack: EffectiveStack, allowed: Iterable[str]) -> StackProblem | None:
    """Return which variables of a stack take over what runs without the operator's yes."""
    patterns = tuple(allowed)
    wrong = [
        f"{name} of {value.origin.ref}"
        for name, value in stack.env.items()
        if classify_variable(name) is VariableClass.TAKES_OVER
        and not any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    if not wrong:
        return None
    message = f"{', '.join(wrong)} takes over a process: the operator must list it in the setting env_takeover_allowed"
    return StackProblem(Reason.ENV_NOT_ALLOWED, message)


def without_issuer(stack: EffectiveStack, issuer_url: str | None) -> StackProblem | None:
    """Return that a stack's runs would reach no cloud: there is nobody to sign their tokens."""
    names = ", ".join(str(used.ref) for used in stack.integrations if not used.spec.by_service)
    if issuer_url is not None or not names:
        return None
    message = f"{names}: runs would get no tokens, since the setting issuer_url is not set"
    return StackProblem(Reason.ISSUER_UNUSABLE, message)
