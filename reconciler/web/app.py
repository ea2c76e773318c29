"""Assembles the app."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.routing import APIRoute

from reconciler.version import __version__
from reconciler.web import gauges, health, hooks, well_known
from reconciler.web.api import (
    access,
    admission,
    audit,
    blueprints,
    documents,
    drift,
    errors,
    events,
    explain,
    issuer,
    login,
    notifications,
    orders,
    overview,
    pins,
    pools,
    queue,
    resources,
    revisions,
    rollouts,
    runner,
    runs,
    service,
    stacks,
    steering,
    tfstate,
    tfstates,
    tokens,
)
from reconciler.web.api.auth import DOCUMENTED
from reconciler.web.api.crowd import Crowd
from reconciler.web.api.described import describe_errors
from reconciler.web.api.parameters import KNOWN_BODY, KNOWN_PARAMETERS
from reconciler.web.conditional import Conditional
from reconciler.web.guard import RequestGuard
from reconciler.web.once import Once
from reconciler.web.plain import PlainRoutes, described
from reconciler.web.ports import Ports
from reconciler.web.streams import Streams

PREFIX = "/api/v1"


def create_app(ports: Ports, *, pages: bool = True) -> FastAPI:
    """Return the app of one service: the page, the API under /api/v1, and health and metrics beside them."""
    app = routed(pages=pages)
    app.state.ports = ports
    app.state.streams = Streams()
    app.state.crowd = Crowd(app)
    gauges.expose(ports)
    large = (f"{PREFIX}/tfstate/", f"{PREFIX}/tfstates/", f"{runner.PREFIX}/leg/", hooks.PREFIX)
    app.add_middleware(Conditional, prefix=f"{PREFIX}/", apart=large)
    app.add_middleware(Once, prefix=f"{PREFIX}/", large=large)
    app.add_middleware(well_known.Published, ports=ports)
    app.add_middleware(PlainRoutes, prefix=f"{PREFIX}/tfstate", routes=tfstate.ROUTES)
    app.add_middleware(PlainRoutes, prefix=runner.PREFIX, routes=runner.ROUTES)
    app.add_middleware(
        RequestGuard,
        hosts=ports.hosts,
        large=large,
        public=well_known.PREFIX,
    )
    return app


def routed(*, pages: bool) -> FastAPI:
    """Return an app with all routes, and nothing of a service in it."""
    app = FastAPI(
        title="Stationkeeper",
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        # The framework's own documentation pages load scripts from other servers.
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        # The framework's own would be looked for at each request, and would send away what stands in exceptions.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    tfstate.install(app, PREFIX)
    app.include_router(described(runner.ROUTES, "runner"), prefix=runner.PREFIX)
    for routes in (
        stacks.router,
        explain.router,
        steering.router,
        pins.router,
        drift.router,
        tfstates.router,
        runs.router,
        events.router,
        queue.router,
        revisions.router,
        rollouts.router,
        pools.router,
        resources.router,
        overview.router,
        service.router,
        documents.router,
        access.router,
        access.me,
        tokens.router,
        issuer.router,
        admission.router,
        audit.router,
        notifications.router,
        blueprints.router,
        blueprints.instances,
        orders.blueprints,
        orders.router,
    ):
        app.include_router(routes, prefix=PREFIX, dependencies=[DOCUMENTED, KNOWN_PARAMETERS, KNOWN_BODY])
    app.include_router(login.router, prefix=PREFIX, dependencies=[KNOWN_PARAMETERS, KNOWN_BODY])
    app.include_router(health.router)
    app.include_router(well_known.router)
    app.include_router(hooks.router)
    errors.install(app)
    if pages:
        # Commands that ask the API in their own process start sooner without them.
        from reconciler.web.pages import routes as page_routes  # noqa: PLC0415

        page_routes.install(app)
    describe_errors(app, PREFIX, runner.PREFIX)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
