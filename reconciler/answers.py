"""Functions that the API's ports share, whether a service runs or a command uses the API in its own process.

`bootstrap` and `local` call them with the `World` and the settings. Nothing here keeps any state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from posixpath import dirname

from rbac.admission.held_diff import held_diff
from rbac.admission.settings import Rules
from reconciler.core.verdicts import Verdict
from reconciler.credentials.secrets import SecretSources
from reconciler.git.mirrors import Mirrors
from reconciler.loop.desired.follower import Follower
from reconciler.loop.desired.repositories import Remotes
from reconciler.loop.desired.world import World
from reconciler.metrics import Metrics
from reconciler.policies.checking import check_rego, engine_key
from reconciler.policies.documents import ask_config
from reconciler.settings import Settings
from reconciler.store.protocol import Transaction
from reconciler.store.readings import Readings
from reconciler.store.sql import SqlStore
from reconciler.web.ports import AdmissionSettings
from spaces.documents.documents import PlacedDocuments
from spaces.names import ROOT, SpaceName


def make_follower(  # noqa: PLR0917
    settings: Settings,
    store: SqlStore,
    own_secrets: SecretSources,
    readings: Readings,
    metrics: Metrics,
    fence: Callable[[Transaction], None] = lambda _: None,
) -> Follower:
    """Return the follower of the configuration. Nothing is read or fetched yet."""
    mirrors = Mirrors(settings.data_dir.absolute() / "mirrors")
    world = World()
    remotes = Remotes(settings, replace(own_secrets, by_name=lambda: world.by_name))
    check = readings.checking(check_rego, engine_key())

    def told(verdict: Verdict) -> None:
        metrics.policy_decided(verdict.type, "error" if verdict.error else verdict.result.value)

    return Follower(store, mirrors, remotes, readings.read, check, partial(ask_config, told=told), fence, world)


def documents_of(world: World) -> PlacedDocuments:
    """Return the documents in force."""
    return world.in_force.documents if world.in_force else PlacedDocuments.empty()


def home_of(world: World, file: str) -> SpaceName:
    """Return the space that a file of the configuration belongs to."""
    return world.in_force.tree.space_of(dirname(file)) if world.in_force is not None else ROOT


def held_diff_of(world: World, held: str) -> str | None:
    """Return what a held change differs in from what is in force, as text; None: it is not held."""
    return held_diff(world.admission.held, held) if world.admission is not None else None


def rules_of(settings: Settings) -> Rules:
    """Return the rules of admission that the settings make."""
    return Rules(settings.first_admins, settings.destroy_budget)


def admission_settings(settings: Settings) -> AdmissionSettings:
    """Return how commits are admitted, as the API shows it."""
    return AdmissionSettings(
        settings.identity.value, settings.admins, settings.identity_forges, settings.destroy_budget
    )


def recipient_of(own: SecretSources) -> str:
    """Return the public key that `station seal` encrypts for; empty where there is none."""
    return own.sealing_keys.recipient if own.sealing_keys is not None else ""


def live_log(path: Path, offset: int, limit: int) -> bytes | None:
    """Return a piece of the log of a run at work; None: there is none."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return None
