"""The forms of settings' values: how each is read from text, and what is wrong with one."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from rbac.identity import Forge
from reconciler.addresses import check_public_url, check_secure_url, public_issuer


def _listed(value: object) -> object:
    """Split a comma-separated text, as from the environment, into a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _search_path(value: object) -> object:
    """Split a text as in PATH, or a comma-separated one, into a list."""
    return _listed(value.replace(os.pathsep, ",")) if isinstance(value, str) else value


def _absolute(value: tuple[Path, ...]) -> tuple[Path, ...]:
    for path in value:
        if not path.is_absolute():
            raise ValueError(f"{path} is not absolute: write the path from /")
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        try:
            ip_network(text)
        except ValueError:
            raise ValueError(f"{text[:40]!r} is not a network: write 10.1.0.0/16, or one address") from None
    return value


def _in_repository(value: str) -> str:
    parts = [part for part in value.split("/") if part not in {"", "."}]
    if value.startswith("/") or ".." in parts or not value.isprintable():
        raise ValueError(
            f"{value!r} is not a directory in the repository: write its path from the top, as in teams/web"
        )
    return "/".join(parts) or "."


def _loopback(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError("write address:port")
    if host not in ("127.0.0.1", "localhost", "[::1]"):
        raise ValueError("use a loopback address; for other addresses, put a reverse proxy in front of the service")
    return value


def _mail_server(value: str) -> str:
    try:
        url = urlsplit(value)
        plain = url.scheme in {"smtp", "smtps"} and url.hostname and url.port
    except ValueError:
        plain = None
    if not plain or url.path.strip("/") or url.query or url.fragment or "@" in url.netloc:
        # It is not repeated: it may hold a password.
        raise ValueError(
            "write smtps://host:465 or smtp://host:587; the user name and password have settings of their own"
        )
    return value


def _public_url(value: str) -> str:
    check_public_url(value)
    return value


def _forges(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        Forge.parse(text)
    return value


def _worker_url(value: str) -> str:
    try:
        check_secure_url(value)
    except ValueError:
        raise ValueError("write an https address: the secrets of runs go there") from None
    return value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Networks = Annotated[Texts, AfterValidator(_networks)]
Directories = Annotated[tuple[Path, ...], BeforeValidator(_listed), AfterValidator(_absolute)]
SearchPath = Annotated[tuple[Path, ...], BeforeValidator(_search_path)]
InRepository = Annotated[str, AfterValidator(_in_repository)]
ListenAddress = Annotated[str, AfterValidator(_loopback)]
MailServer = Annotated[str, AfterValidator(_mail_server)]
WorkerUrl = Annotated[str, AfterValidator(_worker_url)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
IssuerUrl = Annotated[str, AfterValidator(public_issuer)]
Forges = Annotated[Texts, AfterValidator(_forges)]
