"""The API on a data directory, for commands of a machine on which no service runs.

`cli` calls `local_app`. Each such command imports this anew: what only a service needs stays out of it.
"""

from __future__ import annotations

import logging
import secrets
from http import HTTPStatus

from fastapi import FastAPI

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
from reconciler.data_directory import open_keys, open_secrets
from reconciler.git.errors import GitError
from reconciler.issuer.issuer import Issuer
from reconciler.loop.desired.follower import CurrentAccess, Follower
from reconciler.loop.desired.repositories import CannotFollow
from reconciler.loop.desired.restore import with_remembered
from reconciler.loop.desired.world import World
from reconciler.loop.policies.plan import policy_input
from reconciler.loop.policies.reviews import review_effect
from reconciler.metrics import Metrics
from reconciler.runner.contract.directory import RunDirectory
from reconciler.settings import Settings
from reconciler.store.readings import Readings
from reconciler.store.sql import SqlStore, open_store
from reconciler.web.api.errors import ApiError
from reconciler.web.app import create_app
from reconciler.web.ports import Ports, utc_now
from spaces.documents.tree import SpaceTree

_log = logging.getLogger(__name__)


def local_app(settings: Settings) -> FastAPI:
    """Return the API on the local data directory, for a command in this process.

    It reads and records, and runs nothing.
    """
    store = open_store(settings.database, open_keys(settings))
    with store.reading() as reading:
        settings = with_remembered(settings, reading.configuration())
    own_secrets = open_secrets(settings)
    readings = Readings.at(settings.data_dir.absolute())
    follower = make_follower(settings, store, own_secrets, readings, Metrics())
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
            access=CurrentAccess(admission, rules_of(settings), utc_now),
            effective=lambda stack: known().effective(stack),
            earlier=lambda stack, at: catch_up().run_at(stack, at),
            proposal=lambda stack, ref, asker: catch_up().propose(stack, ref, asker, utc_now()),
            adoptions=lambda stack, differences: catch_up().adoptions(stack, differences),
            access_with=lambda ref, asker: catch_up().access_with(ref, asker, utc_now()),
            order=lambda wanted: catch_up().order(wanted, utc_now()),
            orders_on=bool(settings.order_branches),
            documents=lambda: documents_of(known()),
            admission=admission_settings(settings),
            home=lambda file: home_of(known(), file),
            held_diff=lambda held: held_diff_of(known(), held),
            live_log=lambda run, offset, limit: live_log(RunDirectory.of(settings.data_dir, run).log, offset, limit),
            policy_input=lambda run: policy_input(store, known(), run, utc_now()),
            review_effect=lambda run, person: review_effect(store, known(), run, person, utc_now()),
            recipient=recipient_of(own_secrets),
            issuer=_issuer(settings, store),
        ),
        pages=False,
    )


def _issuer(settings: Settings, store: SqlStore) -> Issuer | None:
    return Issuer(store, settings.issuer_url) if settings.issuer_url is not None else None
