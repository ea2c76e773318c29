"""Checks that everything a service needs is in place: for `station doctor`, and for the page of a running service."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import httpx

from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.sops import KEYS, find_sops
from reconciler.data_directory import open_keys
from reconciler.engine.preparing import find_sandbox
from reconciler.engine.sender import BrokerAway, open_broker
from reconciler.git.errors import GitError
from reconciler.git.mirror import Mirror
from reconciler.git.remote import redact
from reconciler.issuer.examining import examine_issuer
from reconciler.issuer.keyring import Keyring
from reconciler.loop.desired.repositories import Remotes
from reconciler.loop.service import utc_now
from reconciler.setting_sources import SettingsError
from reconciler.settings import Settings
from reconciler.store.services import leader_of
from reconciler.store.sql import open_store
from reconciler.store.stored import ServiceSeen, StoreError
from reconciler.tools.installed import installed
from reconciler.tools.versions import Found
from reconciler.web.ports import Finding, SettingValue


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what is found, one check after the other; some look at repositories and issuers elsewhere."""
    yield Finding("ok", "python", f"{sys.version.split()[0]} on {sys.platform}")
    yield _data_dir(settings.data_dir.absolute())
    yield from _database(settings)
    yield _sandbox(settings)
    yield from _tools(settings)
    yield _sops(settings)
    yield _repository(settings)
    yield _issuer(settings)
    yield _broker(settings)


def shown_settings(settings: Settings) -> list[SettingValue]:
    """Return every setting with where it is from. Secrets are in files, which are only named; URLs lose passwords."""

    def shown(value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, tuple):
            return ", ".join(map(shown, value))
        if isinstance(value, bool):
            return str(value).lower()
        return redact(str(value), keep_ssh_user=True) if "://" in str(value) else str(value)

    return [
        SettingValue(
            name, shown(getattr(settings, name)), settings.places.get(name, "default"), field.description or ""
        )
        for name, field in type(settings).model_fields.items()
    ]


def _data_dir(path: Path) -> Finding:
    if not path.exists():
        parent = next(above for above in path.parents if above.exists())
        if os.access(parent, os.W_OK):
            return Finding("ok", "data directory", f"{path} will be created at the first start")
        return Finding("error", "data directory", f"{path} cannot be created", f"make {parent} writable for this user")
    if not os.access(path, os.W_OK | os.X_OK):
        return Finding("error", "data directory", f"{path} is not writable", "give this user write access")
    if path.stat().st_mode & 0o077:
        return Finding("warning", "data directory", f"other users can read {path}", f"chmod 700 {path}")
    return Finding("ok", "data directory", str(path))


def _database(settings: Settings) -> Iterator[Finding]:
    shown = redact(settings.database)
    if settings.database_url is None and not settings.data_dir.exists():
        yield Finding("ok", "database", f"{shown} will be created at the first start")
        return
    try:
        store = open_store(settings.database, open_keys(settings))
    except StoreError as error:
        yield Finding("error", "database", str(error))
        return
    try:
        with store.reading() as reading:
            state, services, leader = reading.configuration(), reading.services(), leader_of(reading, utc_now())
    except StoreError as error:
        yield Finding("error", "database", str(error))
        return
    finally:
        store.close()
    yield Finding("ok", "database", shown)
    if services:
        yield _services(services, leader)
    yield from _secrets(settings, state.by_name or ())
    if state.halted is not None:
        yield Finding("warning", "configuration", f"halted: {state.halted.reason}: {state.halted.message}")


def _services(services: Sequence[ServiceSeen], leader: str | None) -> Finding:
    """Say who uses the database, and who of them follows the configuration."""
    told = [
        f"{it.holder} on {it.host} ({it.version}){', which follows the configuration' if it.holder == leader else ''}"
        for it in services
    ]
    found = "; ".join(told)
    if len({it.version for it in services}) > 1:
        return Finding("warning", "services", found, "they are of several versions: end the upgrade")
    return Finding("ok", "services", found)


def _secrets(settings: Settings, by_name: Iterable[str]) -> Iterator[Finding]:
    """Find the directories of secrets that lie where earlier versions looked."""
    directory = settings.secrets_dir
    if directory is None:
        return
    for path in by_name:
        above, _, name = path.rpartition("/")
        earlier = directory / name
        if above and earlier.is_dir():
            found = f"{earlier} has secrets of {path} by its bare name"
            yield Finding("warning", "secrets", found, f"move them to {directory / path}")


def _sandbox(settings: Settings) -> Finding:
    _, problem = find_sandbox((), (), wanted=True)
    if problem is None:
        return Finding("ok", "sandbox", "bubblewrap works")
    needed = settings.require_sandbox or (settings.require_sandbox is None and settings.admins)
    level = "error" if needed else "warning"
    return Finding(level, "sandbox", problem, "install bubblewrap: without it, runs can read the service's files")


def _tools(settings: Settings) -> Iterator[Finding]:
    for name, found, beside in installed(settings.search_path, settings.tool_paths):
        if isinstance(found, Found):
            yield Finding("ok", name, f"{found.version} at {found.binary}")
        elif beside is None:
            yield Finding("warning", name, found.message, "install it if a stack uses it")
        else:
            yield Finding("warning", name, f"{beside}: {found.message}", "remove it, or put another in its place")


def _sops(settings: Settings) -> Finding:
    directory = settings.sops_keys_dir
    if directory is None:
        return Finding("ok", "sops", "sops_keys_dir is not set: no SOPS files are opened")
    try:
        next(directory.iterdir(), None)
        files = sum(1 for _ in directory.rglob(KEYS))
    except OSError as error:
        return Finding("error", "sops", f"sops_keys_dir {directory} cannot be read: {error.strerror}")
    program = find_sops(settings.search_path)
    if program is None:
        return Finding("warning", "sops", "it is not found on PATH", "install it: stacks with SOPS files cannot run")
    return Finding("ok", "sops", f"{program}, with the age keys of {files} spaces in {directory}")


def _repository(settings: Settings) -> Finding:
    if not settings.config_url:
        return Finding(
            "warning",
            "configuration",
            "config_url is not set",
            "set it to the repository to follow",
        )
    shown = f"{redact(settings.config_url)} (branch {settings.config_branch})"
    try:
        remote = Remotes(settings).configuration()
        with tempfile.TemporaryDirectory() as scratch:
            mirror = Mirror.open(Path(scratch, "mirror.git"), remote.url)
            revision = mirror.fetch(remote.ref, remote.credentials, deadline=60)
    except (GitError, ValueError, SecretUnreadable) as error:
        return Finding("error", "configuration", f"{shown}: {error}")
    return Finding("ok", "configuration", f"{shown} is at {revision[:12]}")


def _broker(settings: Settings) -> Finding:
    if settings.celery_broker_file is None:
        return Finding("ok", "broker", "celery_broker_file is not set: there are no worker pools of Celery")
    try:
        open_broker(settings.celery_broker_file).check()
    except SettingsError as error:
        return Finding("error", "broker", str(error))
    except BrokerAway as away:
        return Finding("error", "broker", str(away), "start it, or correct the URL in celery_broker_file")
    return Finding("ok", "broker", "the broker of celery_broker_file answers")


def _issuer(settings: Settings) -> Finding:
    if settings.issuer_url is None:
        return Finding("ok", "issuer", "issuer_url is not set: runs get no tokens for clouds")

    if settings.database_url is None and not settings.data_dir.exists():
        return Finding("warning", "issuer", f"{settings.issuer_url} has no keys yet", "start the service once")
    try:
        store = open_store(settings.database, open_keys(settings))
        try:
            keys = [key.id for key in Keyring(store).keys(utc_now())]
        finally:
            store.close()
    except StoreError as error:
        return Finding("error", "issuer", f"its keys cannot be read: {error}")
    with httpx.Client(timeout=10.0) as client:
        examined = examine_issuer(settings.issuer_url, keys, client, utc_now())
    return Finding(examined.level, "issuer", examined.found, examined.advice)
