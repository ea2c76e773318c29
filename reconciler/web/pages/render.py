"""Turns templates into answers, with the headers that keep markup from outside harmless."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reconciler.version import __version__
from reconciler.web.api.audit import sees_audit
from reconciler.web.api.auth import Caller, Right
from reconciler.web.pages.viewer import Viewer
from reconciler.web.views import changes, times, tones, values
from spaces.reading.writing import as_yaml

STATIC = Path(__file__).parent / "static"
HTMX = "htmx-2.0.11.min.js"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}

_HEADERS = {
    # No script and no style inside a page, nothing from other servers, no frame around it.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send `Origin: null` with forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def render(
    request: Request,
    viewer: Viewer | None,
    template: str,
    status: HTTPStatus = HTTPStatus.OK,
    /,
    **shown: Any,
) -> Response:
    """Return a page, or a part of one. `viewer`: who looks at it; None: somebody who is not signed in."""
    now = request.app.state.ports.now()
    text = _environment().get_template(template).render(request=request, viewer=viewer, now=now, **shown)
    return HTMLResponse(text, int(status), _HEADERS)


def redirect(path: str) -> Response:
    """Return an answer that leads the browser to another page of this service."""
    return RedirectResponse(path, int(HTTPStatus.SEE_OTHER), _HEADERS)


def unchanged() -> Response:
    """Return an answer that lets a page stay as it is."""
    return Response(status_code=int(HTTPStatus.NO_CONTENT))


def mark(*values: object, now: datetime | None = None) -> str:
    """Return a short text that is another one as soon as one of the values is.

    `now`: the page says how long ago something was, so it is another one in the next minute, too.
    """
    minute = now.replace(second=0, microsecond=0) if now is not None else None
    return hashlib.sha256(repr((values, minute)).encode()).hexdigest()[:16]


def address(path: str, **parameters: object) -> str:
    """Return the address of a page with those parameters that have a value."""
    # Not by `in`: 0 is a value, and equal to False.
    given = {
        name: "true" if value is True else value
        for name, value in parameters.items()
        if not (value is None or value is False or value in ("", []))
    }
    return f"{quote(path)}?{urlencode(given, doseq=True)}" if given else quote(path)


def static_file(name: str) -> Response | None:
    """Return one of the files that pages load; None for any other name."""
    found = _static().get(name)
    if found is None:
        return None
    body, kind = found
    headers = _HEADERS | {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(body, media_type=kind, headers=headers)


@cache
def _static() -> dict[str, tuple[bytes, str]]:
    return {path.name: (path.read_bytes(), _TYPES[path.suffix]) for path in STATIC.iterdir() if path.suffix in _TYPES}


@cache
def _asset(name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    body, _ = _static()[name]
    return f"/static/{name}?v={hashlib.sha256(body).hexdigest()[:12]}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        address=address,
        as_yaml=as_yaml,
        asset=_asset,
        ago=times.ago,
        between=times.between,
        duration=times.duration,
        exact=times.exact,
        health_tone=tones.health_tone,
        htmx=HTMX,
        is_drifted=tones.is_drifted,
        pages_of=_pages_of,
        clipped=values.clipped,
        pool_state=tones.pool_state,
        pretty=values.pretty,
        run_tone=tones.run_tone,
        stack_tone=tones.stack_tone,
        summary=changes.summary,
        version=__version__,
        wbr=_breakable,
    )
    return made


def _pages_of(caller: Caller) -> list[tuple[str, str, str]]:
    """Return the pages that somebody can open: for each its name, its address and its label."""
    names = ["stacks", "runs", "queue", "resources", "revisions", "held", "blueprints", "access"]
    # Who reads no notifier is told of no notice.
    names += ["notifications"] if caller.spaces(Right.NOTIFIER_READ) != frozenset() else []
    names += ["audit"] if sees_audit(caller) else []
    names += ["service"] if caller.is_admin else []
    return [("home", "/", "Home"), *((name, f"/{name}", name.capitalize()) for name in names)]


def _breakable(text: str) -> Markup:
    """Return a name that may be broken after its separators."""
    safe = Markup.escape(text)
    for separator in ("/", ".", "_"):
        safe = Markup(str(safe).replace(separator, f"{separator}<wbr>"))  # noqa: S704 - escaped above
    return safe
