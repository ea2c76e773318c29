"""The routes of the app, made once for all apps of a process: the first request to new ones takes a tenth of a second."""

from __future__ import annotations

import copy
from functools import cache

from fastapi import FastAPI
from starlette.datastructures import State

from reconciler.web import app

_new = app.routed


def routed(*, pages: bool) -> FastAPI:
    """Do as the app's own function of this name, with the routes of the first one that it gave."""
    made = copy.copy(_warm(pages=pages))
    made.state = State()
    made.user_middleware = []
    return made


@cache
def _warm(*, pages: bool) -> FastAPI:
    made = _new(pages=pages)
    asked = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "app": made}
    for route in made.router.routes:
        route.matches(asked)
    return made
