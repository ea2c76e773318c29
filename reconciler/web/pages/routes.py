"""All routes of the page, for `create_app`."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from reconciler.web.api import errors
from reconciler.web.api.errors import not_found
from reconciler.web.api.parameters import KNOWN_PARAMETERS
from reconciler.web.pages import (
    access,
    audit,
    blueprints,
    device,
    held,
    home,
    live,
    notifications,
    queue,
    resources,
    revisions,
    runs,
    service,
    sign_in,
    stacks,
)
from reconciler.web.pages.render import static_file
from reconciler.web.pages.route import PageRoute, failure, wants_page

_files = APIRouter(route_class=PageRoute)


def install(app: FastAPI) -> None:
    """Add the pages to an app, and let a browser read about a missing one."""
    reading = (home, stacks, runs, queue, held, resources, revisions, blueprints, access, audit, service)
    for part in (*reading, live, notifications, sign_in, device):
        app.include_router(part.router, include_in_schema=False, dependencies=[KNOWN_PARAMETERS])
    app.include_router(blueprints.ordered, include_in_schema=False, dependencies=[KNOWN_PARAMETERS])
    app.include_router(sign_in.callbacks, include_in_schema=False)
    app.include_router(_files, include_in_schema=False)
    app.add_exception_handler(HTTPException, _missing)


@_files.get("/static/{name}")
def static(name: str) -> Response:
    """Return a file that pages load. It tells nobody anything, so it needs no sign-in."""
    found = static_file(name)
    if found is None:
        raise not_found("such file")
    return found


def _missing(request: Request, error: Exception) -> Response:
    known = errors.as_api_error(error)
    return failure(request, known) if wants_page(request) else known.response()
