"""Assembles the parts of a service.

The commands `serve` and `reconcile` call `open_service`; all others that need the API without a service call that of
`local`. Nothing here runs by itself: the caller starts the loop and the server.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from rbac.admission.admit import Admission
from reconciler.answers import (
    admission_settings,
    documents_of,
    held_diff_of,
    home_of,
    live_log,
    make_follower,
    recipient_of,
    rules_of,
)
from reconciler.core.runs import Run
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
from reconciler.git.remote import check_branch, check_url, redact
from reconciler.issuer.issuer import Issuer
from reconciler.loop.desired.fetch import Fetcher
from reconciler.loop.desired.follower import CurrentAccess, Follower
from reconciler.loop.desired.merged import merged_at
from reconciler.loop.desired.restore import differs
from reconciler.loop.desired.seen import Noting, suspend_if_restored
from reconciler.loop.desired.source_repositories import NOT_SET_UP
from reconciler.loop.leading import Leadership
from reconciler.loop.policies.plan import PlanPolicies, policy_input
from reconciler.loop.policies.reviews import review_effect
from reconciler.loop.runs.dispatch import Dispatcher
from reconciler.loop.runs.pools import pools_with_messages
from reconciler.loop.runs.record import Recorder
from reconciler.loop.service import Loop, Watching, utc_now
from reconciler.metrics import Metrics
from reconciler.runner.contract.directory import free_ended
from reconciler.runner.contract.job import TfstateAccess
from reconciler.setting_sources import SettingsError
from reconciler.settings import MetricsAccess, Settings
from reconciler.store.belonging import check_belonging
from reconciler.store.readings import Readings
from reconciler.store.sql import SqlStore, open_store
from reconciler.store.stored import ConfigurationState
from reconciler.web.api.errors import ApiError
from reconciler.web.api.tfstate import tfstate_path
from reconciler.web.app import create_app
from reconciler.web.from_settings import hosts, provider, webhook_secret
from reconciler.web.pace import Pace
from reconciler.web.ports import Ports, RunnerDoor
from reconciler.web.server import LazyServer
from reconciler.web.tokens import operator_token
from spaces.documents.tree import SpaceTree
from spaces.names import Revision

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
        follower = make_follower(settings, store, open_secrets(settings), readings, metrics, leadership.check)
        closing.callback(follower.close)
        service = _assemble(settings, store, engine, follower, leadership, metrics, port, watching)
        with service.jobs.carrying():
            yield service


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

    directory, rules = settings.data_dir.absolute(), rules_of(settings)

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
        store=store,
        engine=engines,
        follower=follower,
        settings=settings,
        metrics=metrics,
        holder=holder,
        tfstate_door=tfstate_door,
        issuer=issuer,
        pull=pull,
        unsafe=unsafe,
        unreachable=unreachable,
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
        access=CurrentAccess(admission, rules_of(settings), utc_now),
        metrics_need_token=settings.metrics_access is MetricsAccess.TOKEN,
        effective=follower.world.effective,
        earlier=follower.run_at,
        proposal=lambda stack, ref, asker: follower.propose(stack, ref, asker, utc_now()),
        adoptions=follower.adoptions,
        access_with=lambda ref, asker: follower.access_with(ref, asker, utc_now()),
        order=lambda wanted: follower.order(wanted, utc_now()),
        orders_on=bool(settings.order_branches),
        documents=lambda: documents_of(follower.world),
        admission=admission_settings(settings),
        home=lambda file: home_of(follower.world, file),
        held_diff=lambda held: held_diff_of(follower.world, held),
        summary=lambda revision: _summary(follower, revision),
        live_log=lambda run, offset, limit: live_log(engine.log_path(run), offset, limit),
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
        recipient=recipient_of(follower.remotes.secrets),
        issuer=issuer if settings.issuer_url is not None else None,
        provider=provider(settings),
        webhook_secret=webhook_secret(settings),
    )
    server = LazyServer(partial(create_app, ports), host, own_port if port is None else port, directory)
    return Service(settings, store, engine, loop, ports, server, dispatcher.job_carrier(lambda: loop.passed))


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


def _summary(follower: Follower, revision: Revision) -> str | None:
    try:
        url = follower.remotes.settings.config_url or ""
        return follower.mirrors.mirror(url).trees.commit(revision).summary
    except GitError:
        return None
