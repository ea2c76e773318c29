"""Errors as `application/problem+json` (RFC 9457), in one shape for all failures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException

from reconciler.refusals import OperationRefused, Refusal
from reconciler.repeating import Repeating
from reconciler.store.stored import CannotUnseal, StoreError
from reconciler.words import plain

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)

_store_failures = Repeating()


class ApiError(Exception):
    """A request that is answered with an error. `reason` is one CamelCase word, `detail` one sentence."""

    def __init__(
        self,
        status: HTTPStatus,
        reason: str,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the response."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "reason": self.reason,
            "detail": self.detail,
        }
        if self.errors is not None:
            body["errors"] = self.errors
        return JSONResponse(body, int(self.status), self.headers, MEDIA_TYPE)


def not_found(what: str) -> ApiError:
    """Return the one error for things that do not exist and for things that this caller may not know of."""
    return ApiError(HTTPStatus.NOT_FOUND, "NotFound", f"there is no {what}")


def invalid(field: str, message: str) -> ApiError:
    """Return the error for one wrong parameter."""
    return ApiError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Invalid",
        f"{field}: {message}",
        errors=[{"field": field, "message": message}],
    )


def busy(detail: str) -> ApiError:
    """Return the error for something that the service has no room for just now."""
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "Busy", detail, headers={"Retry-After": "10"})


KNOWN = (ApiError, OperationRefused, RequestValidationError, HTTPException, StoreError)
"""The failures that `as_api_error` words; everything else is a bug."""


def install(app: FastAPI) -> None:
    """Register the handlers, so that every error of the app has this shape."""
    for known in KNOWN:
        app.add_exception_handler(known, _known)
    app.add_exception_handler(Exception, _bug)


def as_api_error(error: Exception) -> ApiError:
    """Return the error that a failure is for the caller; raise it again if it is none that a request may cause."""
    match error:
        case ApiError():
            return error
        case OperationRefused():
            status = HTTPStatus.NOT_FOUND if error.reason is Refusal.NOT_FOUND else HTTPStatus.CONFLICT
            return ApiError(status, error.reason, error.message)
        case RequestValidationError():
            return _unreadable(error)
        case HTTPException():
            return _of_http(error)
        case CannotUnseal():
            return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "CannotUnseal", str(error))
        case StoreError():
            if _store_failures.is_due(str(error)):
                _log.warning("%s", error)
            # The caller may not even have sent a token, and the place of the database concerns only the operator.
            headers = {"Retry-After": "5"}
            return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "StoreUnavailable", error.brief, headers=headers)
        case _:
            raise error


def as_bug(request: Request, error: Exception) -> ApiError:
    """Return the error for a bug, and log its details."""
    found = request.scope.get("request_id", "")
    _log.error("%s %s failed (request %s)", request.method, request.url.path, found, exc_info=error)
    detail = f"this is a bug in the service; its log has the details, under request {found}"
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", detail)


def _unreadable(error: RequestValidationError) -> ApiError:
    errors = [_told(failure) for failure in error.errors()]
    detail = "; ".join(f"{failure['field']} {failure['message']}" for failure in errors)
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", detail, errors=errors)


def _of_http(error: HTTPException) -> ApiError:
    if isinstance(error.__cause__, ValueError | RecursionError):
        # Of bytes that are not UTF-8, of too many digits or of too deep a body, FastAPI says nothing.
        return invalid("body", "is not JSON in UTF-8 that can be read")
    status = HTTPStatus(error.status_code)
    reason = status.phrase.replace(" ", "")
    detail = "there is nothing at this URL" if status is HTTPStatus.NOT_FOUND else str(error.detail)
    return ApiError(status, reason, detail, headers=error.headers)


def _told(failure: ErrorDetails) -> dict[str, str]:
    _, *path = failure["loc"]
    if failure["type"] == "json_invalid":
        # What FastAPI knows is how many characters were right.
        where = f" at character {path[0]}" if path else ""
        return {"field": "body", "message": plain(failure) + where}
    return {"field": ".".join(map(str, path)) or "body", "message": plain(failure)}


def _known(_: Request, error: Exception) -> Response:
    return as_api_error(error).response()


def _bug(request: Request, error: Exception) -> Response:
    return as_bug(request, error).response()
