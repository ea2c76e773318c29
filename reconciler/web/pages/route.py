"""The routes of pages: whatever goes wrong in one is shown as a page, worded as the API words it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from reconciler.store.stored import StoreError
from reconciler.web.api import errors
from reconciler.web.api.errors import ApiError
from reconciler.web.pages.render import redirect, render
from reconciler.web.pages.viewer import NotSignedIn, Viewer, viewer_of

_TITLES = {
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.CONFLICT: "That is not possible",
    HTTPStatus.UNPROCESSABLE_ENTITY: "That cannot be read",
    HTTPStatus.FORBIDDEN: "Refused",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not available just now",
    HTTPStatus.METHOD_NOT_ALLOWED: "Not found",
}


class PageRoute(APIRoute):
    """A route that answers with pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of a request, with the answers to failures."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except NotSignedIn:
                return _sign_in_first(request)
            except errors.KNOWN as error:
                return await run_in_threadpool(failure, request, errors.as_api_error(error))
            except Exception as error:  # noqa: BLE001 - a bug, which the log tells of
                return await run_in_threadpool(failure, request, errors.as_bug(request, error))

        return answer


def failure(request: Request, error: ApiError) -> Response:
    """Return the page about an error."""
    title = _TITLES.get(error.status, error.status.phrase)
    viewer = _known_viewer(request)
    return render(request, viewer, "error.html", error.status, title=title, detail=error.detail, nav="")


def wants_page(request: Request) -> bool:
    """Whether somebody with a browser asks, and not a program that calls the API."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def _known_viewer(request: Request) -> Viewer | None:
    try:
        return viewer_of(request)
    except (NotSignedIn, StoreError, errors.ApiError):
        return None


def _sign_in_first(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("hx-request") == "true":
        # A part of a page that refreshes itself: lead the whole page to the sign-in.
        return Response(status_code=int(HTTPStatus.UNAUTHORIZED), headers={"HX-Redirect": "/sign-in"})
    if request.method != "GET":
        return redirect("/sign-in")
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A link on another site: the browser sends the cookie only once a page of this site leads there.
        return render(request, None, "arrive.html", here=here)
    return redirect(f"/sign-in?next={quote(here, safe='')}" if here != "/" else "/sign-in")
