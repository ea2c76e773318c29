"""Refuses query parameters and bodies that a route does not know.

An answer to another question is worse than none. The fields of a body that a route takes are checked by its shape.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from reconciler.web.api.errors import invalid


async def _refuse_unknown(request: Request) -> None:
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    refuse_unknown(request.query_params, _names(route.dependant))


def refuse_unknown(asked: Iterable[str], known: Collection[str]) -> None:
    """Raise 422 for a parameter that a request has and its route does not."""
    for name in asked:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            names = f"it has {', '.join(sorted(known))}" if known else "it has none"
            hint = f"did you mean {close[0]}?" if close else names
            raise invalid(name[:80], f"is not a parameter of this request; {hint}")


def _names(dependant: Dependant) -> set[str]:
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*map(_names, dependant.dependencies))


async def _refuse_body(request: Request) -> None:
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or route.body_field is not None or _reads_bytes(route):
        return
    await refuse_body(request)


async def refuse_body(request: Request) -> None:
    """Raise 422 for a body that says anything."""
    length = request.headers.get("content-length", "0")
    told = "transfer-encoding" in request.headers or not (length.isascii() and length.isdecimal())
    # What says nothing is none; anything longer is not even read.
    if told or int(length) > len(b"null") or (await request.body()).strip() not in _NOTHING:
        raise invalid("body", "this request takes none")


def _reads_bytes(route: APIRoute) -> bool:
    """Whether the route takes its body as it comes, and has said so in its description."""
    return "requestBody" in (route.openapi_extra or {})


_NOTHING = (b"", b"{}", b"null")

KNOWN_BODY = Depends(_refuse_body)
KNOWN_PARAMETERS = Depends(_refuse_unknown)
