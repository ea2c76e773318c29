"""Assembles the parts: a service, a single pass, or only the API on the local data directory.

The commands `serve` and `reconcile` call `open_service`; all others that need the API without a service call
`local_app`. Nothing here runs by itself: the caller starts the loop and the server.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from posixpath import dirname

from fastapi import FastAPI

from rbac.admission.admit import Admission
from rbac.admission.held_diff import held_diff
from rbac.admission.settings import Rules
from reconciler.core.runs import Run
from reconciler.core.verdicts import Verdict
from reconciler.credentials.secrets import SecretSources
from reconciler.data_directory import (
    alone_on,
    hidden_from_runs,
    holder_of,
    make_data_dir,
    open_keys,
    open_secrets,
)
from reconciler.doctor import examine, shown_settings
from reconciler.engine.engines import Engines
from reconciler.engine.kubernetes.jobs import JobCarrier
from reconciler.engine.local import WITHOUT_SANDBOX, LocalEngine
from reconciler.engine.pull import PullEngine
from reconciler.engine.sender import send_messages
from reconciler.git.errors import GitError
from reconciler.git.mirrors import Mirrors
from reconciler.git.remote import check_branch, check_url, redact
from reconciler.issuer.issuer import Issuer
from reconciler.loop.desired.fetch import Fetcher
from reconciler.loop.desired.follower import CurrentAccess, Follower
from reconciler.loop.desired.merged import merged_at
from reconciler.loop.desired.repositories import CannotFollow, Remotes
from reconciler.loop.desired.restore import differs, with_remembered
from reconciler.loop.desired.seen import Noting, suspend_if_restored
from reconciler.loop.desired.source_repositories import NOT_SET_UP
from reconciler.loop.desired.world import World
from reconciler.loop.leading import Leadership
from reconciler.loop.policies.plan import PlanPolicies, policy_input
from reconciler.loop.policies.reviews import review_effect
from reconciler.loop.runs.dispatch import Dispatcher
from reconciler.loop.runs.pools import pools_with_messages
from reconciler.loop.runs.record import Recorder
from reconciler.loop.service import Loop, Watching, utc_now
from reconciler.metrics import Metrics
from reconciler.policies.checking import check_rego, engine_key
from reconciler.policies.documents import ask_config
from reconciler.runner.contract.directory import RunDirectory, free_ended
from reconciler.runner.contract.job import TfstateAccess
from reconciler.setting_sources import SettingsError
from reconciler.settings import MetricsAccess, Settings
from reconciler.store.belonging import check_belonging
from reconciler.store.protocol import Transaction
from reconciler.store.readings import Readings
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import ConfigurationState
from reconciler.web.api.errors import ApiError
from reconciler.web.api.tfstate import tfstate_path
from reconciler.web.app import create_app
from reconciler.web.from_settings import hosts, provider, webhook_secret
from reconciler.web.pace import Pace
from reconciler.web.ports import AdmissionSettings, Ports, RunnerDoor
from reconciler.web.server import LazyServer
from reconciler.web.tokens import operator_token
from spaces.documents.documents import PlacedDocuments
from spaces.documents.tree import SpaceTree
from spaces.names import ROOT, Revision, SpaceName

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """A complete service: its loop and its HTTP server, which may not be started yet."""

    settings: Settings
    store: SqlStore
    engine: LocalEngine
    loop: Loop
    ports: Ports
    server: LazyServer
    jobs: JobCarrier


@contextmanager
def open_service(settings: Settings, *, port: int | None = None, watching: Watching | None = None) -> Iterator[Service]:
    """Open everything that `serve` and `reconcile` need, alone on the data directory.

    `port` replaces the port of the settings. Raise SettingsError, StoreError, SandboxUnavailable or DataDirectoryBusy,
    each with one line for the operator.
    """
    _check_configuration(settings)
    hidden = hidden_from_runs(settings)
    directory = make_data_dir(settings)
    with alone_on(directory), ExitStack() as closing:
        # Before the database is opened: the disk may be full, and this frees room for it.
        free_ended(directory)
        store = open_store(settings.database, open_keys(settings))
        closing.callback(store.close)
        check_belonging(store, directory, redact(settings.database))
        suspend_if_restored(store, settings.notes, utc_now())
        # Before any run starts, which is kept from the notes that are there.
        Noting(store, settings.notes).step(-1, -1)
        with store.reading() as reading:
            state = reading.configuration()
        changed = differs(settings, state)
        if changed is not None:
            raise SettingsError(changed)
        engine = LocalEngine(
            directory,
            hidden=hidden,
            tool_path=settings.tool_path,
            writable=settings.writable_paths,
            require_sandbox=_needs_sandbox(settings, state),
        )
        closing.callback(engine.close)
        readings = Readings.at(directory)
        closing.callback(readings.close)
        metrics = Metrics()
        alone = settings.database.startswith("sqlite")
        leadership = Leadership(store, holder_of(settings.data_dir), alone, engine.wake)
        follower = _follower(settings, store, open_secrets(settings), readings, metrics, leadership.check)
        closing.callback(follower.close)
        service = _assemble(settings, store, engine, follower, leadership, metrics, port, watching)
        with service.jobs.carrying():
            yield service


def _follower(  # noqa: PLR0917
    settings: Settings,
    store: SqlStore,
    own_secrets: SecretSources,
    readings: Readings,
    metrics: Metrics,
    fence: Callable[[Transaction], None] = lambda _: None,
) -> Follower:
    mirrors = Mirrors(settings.data_dir.absolute() / "mirrors")
    world = World()
    remotes = Remotes(settings, replace(own_secrets, by_name=lambda: world.by_name))
    check = readings.checking(check_rego, engine_key())

    def told(verdict: Verdict) -> None:
        metrics.policy_decided(verdict.type, "error" if verdict.error else verdict.result.value)

    return Follower(store, mirrors, remotes, readings.read, check, partial(ask_config, told=told), fence, world)


def _assemble(  # noqa: PLR0917
    settings: Settings,
    store: SqlStore,
    engine: LocalEngine,
    follower: Follower,
    leadership: Leadership,
    metrics: Metrics,
    port: int | None,
    watching: Watching | None,
) -> Service:
    holder = leadership.holder
    host, own_port = settings.host_and_port

    directory, rules = settings.data_dir.absolute(), _rules(settings)

    def unsafe() -> str | None:
        in_force = follower.world.in_force
        if settings.require_sandbox is not None or in_force is None or not rules.judges(in_force.documents):
            return None
        return None if engine.sandboxed else f"access is set up, but {engine.sandbox_problem}; {WITHOUT_SANDBOX}"

    def admission() -> Admission | None:
        if follower.world.admission is not None:
            return follower.world.admission
        with store.reading() as reading:
            if reading.configuration().admitted_revision is None:
                return None
        # By no rules at all nobody has any right: workers and sign-ins would take that for an answer.
        detail = "the service has just started, and does not know yet what is in force"
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "Starting", detail, headers={"Retry-After": "1"})

    def tfstate_door(run: Run, token: str) -> TfstateAccess:
        server.url()
        return TfstateAccess(str(directory), tfstate_path(run.stack), token)

    issuer = Issuer(store, settings.issuer_url or "")
    pull = PullEngine(directory, engine.wake, settings.worker_lease)
    engines = Engines(engine, pull)
    unreachable = send_messages(settings, pull, lambda: pools_with_messages(follower.world))
    dispatcher = Dispatcher(
        store, engines, follower, settings, metrics, holder, tfstate_door, issuer, pull, unsafe, unreachable
    )
    policies = PlanPolicies(store, follower, metrics)
    recorder = Recorder(store, engines, metrics, lambda run: merged_at(follower, run), policies)
    fetcher = Fetcher(follower.mirrors, metrics, settings.poll_interval)
    loop = Loop(store, engines, follower, fetcher, dispatcher, recorder, metrics, leadership)
    metrics.show_workers(dispatcher.workers)
    metrics.show_leader(lambda: leadership.leads)
    if watching is not None:
        loop.watching = watching
    ports = Ports(
        store=store,
        operator_token=operator_token(settings.data_dir),
        tree=lambda: follower.world.in_force.documents.tree if follower.world.in_force else SpaceTree.build({}),
        access=CurrentAccess(admission, _rules(settings), utc_now),
        metrics_need_token=settings.metrics_access is MetricsAccess.TOKEN,
        effective=follower.world.effective,
        earlier=follower.run_at,
        proposal=lambda stack, ref, asker: follower.propose(stack, ref, asker, utc_now()),
        adoptions=follower.adoptions,
        access_with=lambda ref, asker: follower.access_with(ref, asker, utc_now()),
        order=lambda wanted: follower.order(wanted, utc_now()),
        orders_on=bool(settings.order_branches),
        documents=lambda: _documents(follower.world),
        admission=_admission(settings),
        home=lambda file: _home(follower.world, file),
        held_diff=lambda held: _held_diff(follower.world, held),
        summary=lambda revision: _summary(follower, revision),
        live_log=lambda run, offset, limit: _live_log(engine.log_path(run), offset, limit),
        policy_input=lambda run: policy_input(store, follower.world, run, utc_now()),
        review_effect=lambda run, person: review_effect(store, follower.world, run, person, utc_now()),
        metrics=metrics,
        wake=loop.wake,
        ready=lambda: loop.passed,
        workers=dispatcher.workers,
        pace=Pace(settings.request_rate),
        settings=partial(shown_settings, settings),
        examine=partial(examine, settings),
        runner=RunnerDoor(pull, settings.log_limit, unreachable),
        judges=True,
        trouble=lambda: loop.brief,
        now=utc_now,
        holder=holder,
        hosts=hosts(settings),
        recipient=_recipient(follower.remotes.secrets),
        issuer=issuer if settings.issuer_url is not None else None,
        provider=provider(settings),
        webhook_secret=webhook_secret(settings),
    )
    server = LazyServer(partial(create_app, ports), host, own_port if port is None else port, directory)
    return Service(settings, store, engine, loop, ports, server, dispatcher.job_carrier(lambda: loop.passed))


def local_app(settings: Settings) -> FastAPI:
    """Return the API on the local data directory, for a command in this process.

    It reads and records, and runs nothing.
    """
    store = open_store(settings.database, open_keys(settings))
    with store.reading() as reading:
        settings = with_remembered(settings, reading.configuration())
    own_secrets = open_secrets(settings)
    readings = Readings.at(settings.data_dir.absolute())
    follower = _follower(settings, store, own_secrets, readings, Metrics())
    caught_up = False

    def catch_up() -> Follower:
        # Reading the configuration takes a while, and most commands need only the store.
        nonlocal caught_up
        if not caught_up and settings.config_url:
            try:
                follower.catch_up(utc_now(), writing=False)
            except (CannotFollow, GitError) as error:
                _log.warning("%s", error)
            readings.close()
            caught_up = True
        return follower

    def tree() -> SpaceTree:
        in_force = catch_up().world.in_force
        return in_force.documents.tree if in_force else SpaceTree.build({})

    def known() -> World:
        world = catch_up().world
        if world.admission is None:
            # Without documents in force every answer would be no.
            detail = "what is in force is not known here: " + (
                "nothing was admitted yet, or its mirror is gone"
                if settings.config_url
                else "config_url is missing (STATION_CONFIG_URL)"
            )
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "NotInForce", detail)
        return world

    def admission() -> Admission:
        known_admission = known().admission
        assert known_admission is not None  # noqa: S101 - `known` has just checked it
        return known_admission

    return create_app(
        Ports(
            store=store,
            operator_token=secrets.token_urlsafe(32),
            tree=tree,
            access=CurrentAccess(admission, _rules(settings), utc_now),
            effective=lambda stack: known().effective(stack),
            earlier=lambda stack, at: catch_up().run_at(stack, at),
            proposal=lambda stack, ref, asker: catch_up().propose(stack, ref, asker, utc_now()),
            adoptions=lambda stack, differences: catch_up().adoptions(stack, differences),
            access_with=lambda ref, asker: catch_up().access_with(ref, asker, utc_now()),
            order=lambda wanted: catch_up().order(wanted, utc_now()),
            orders_on=bool(settings.order_branches),
            documents=lambda: _documents(known()),
            admission=_admission(settings),
            home=lambda file: _home(known(), file),
            held_diff=lambda held: _held_diff(known(), held),
            live_log=lambda run, offset, limit: _live_log(RunDirectory.of(settings.data_dir, run).log, offset, limit),
            policy_input=lambda run: policy_input(store, known(), run, utc_now()),
            review_effect=lambda run, person: review_effect(store, known(), run, person, utc_now()),
            now=utc_now,
            recipient=_recipient(own_secrets),
            issuer=_issuer(settings, store),
        ),
        pages=False,
    )


def _held_diff(world: World, held: str) -> str | None:
    return held_diff(world.admission.held, held) if world.admission is not None else None


def _home(world: World, file: str) -> SpaceName:
    return world.in_force.tree.space_of(dirname(file)) if world.in_force is not None else ROOT


def _recipient(own: SecretSources) -> str:
    return own.sealing_keys.recipient if own.sealing_keys is not None else ""


def _issuer(settings: Settings, store: SqlStore) -> Issuer | None:
    return Issuer(store, settings.issuer_url) if settings.issuer_url is not None else None


def _rules(settings: Settings) -> Rules:
    return Rules(settings.first_admins, settings.destroy_budget)


def _admission(settings: Settings) -> AdmissionSettings:
    return AdmissionSettings(
        settings.identity.value, settings.admins, settings.identity_forges, settings.destroy_budget
    )


def _documents(world: World) -> PlacedDocuments:
    return world.in_force.documents if world.in_force else PlacedDocuments.empty()


def _check_configuration(settings: Settings) -> None:
    if not settings.config_url:
        raise SettingsError("config_url is missing: name the repository to follow (--config-url, STATION_CONFIG_URL)")
    for name, check, value in (
        ("config_url", check_url, settings.config_url),
        ("config_branch", check_branch, settings.config_branch),
        ("order_branches", check_branch, f"{settings.order_branches}space-name"),
    ):
        try:
            check(value)
        except ValueError as wrong:
            raise SettingsError(f"{name}: {wrong}") from None
    prefix = settings.order_branches
    if prefix and settings.config_branch.startswith(prefix):
        raise SettingsError(f"order_branches: the watched branch {settings.config_branch} must not begin with {prefix}")


def _needs_sandbox(settings: Settings, state: ConfigurationState) -> bool:
    """Whether nothing starts without a sandbox: people's rights would be worth nothing where runs read everything."""
    if settings.require_sandbox is not None:
        return settings.require_sandbox
    not_set_up = any(diagnostic["code"] == NOT_SET_UP for diagnostic in state.diagnostics)
    return bool(settings.admins) or (state.admitted_revision is not None and not not_set_up)


def _live_log(path: Path, offset: int, limit: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return None


def _summary(follower: Follower, revision: Revision) -> str | None:
    try:
        url = follower.remotes.settings.config_url or ""
        return follower.mirrors.mirror(url).trees.commit(revision).summary
    except GitError:
        return None
