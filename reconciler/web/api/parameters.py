"""Refuses query parameters that a route does not know: an answer to another question is worse than none."""

from __future__ import annotations

import difflib

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from reconciler.web.api.errors import invalid


def _refuse_unknown(request: Request) -> None:
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = _names(route.dependant)
    for name in request.query_params:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known)) or 'none'}"
            raise invalid(name[:80], f"is not a parameter of this request; {hint}")


def _names(dependant: Dependant) -> set[str]:
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*map(_names, dependant.dependencies))


KNOWN_PARAMETERS = Depends(_refuse_unknown)
