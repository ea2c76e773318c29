"""What the service's settings say about the HTTP server: its names, its identity provider, its webhooks."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from reconciler.credentials.files import read_secret_file
from reconciler.settings import Settings
from reconciler.web.issuers import Issuers, fetch_json
from reconciler.web.ports import WebhookSecret
from reconciler.web.provider import CALLBACK, OidcProvider


def hosts(settings: Settings) -> frozenset[str]:
    """Return the name under which people reach the page: a proxy may pass it on."""
    name = urlsplit(settings.public_url or "").hostname
    return frozenset({name} if name else ())


def provider(settings: Settings) -> OidcProvider | None:
    """Return the identity provider that people can sign in with; None: the settings name none."""
    issuer, client = settings.oidc_issuer, settings.oidc_client_id
    if issuer is None or client is None or settings.public_url is None:
        return None
    here, file = issuer.startswith("http://"), settings.oidc_client_secret_file
    return OidcProvider(
        issuer,
        client,
        settings.public_url.rstrip("/") + CALLBACK,
        Issuers(partial(fetch_json, here=here)),
        secret=None if file is None else lambda: read_secret_file(file, "oidc_client_secret_file").strip(),
        scopes=settings.oidc_scopes,
        user_claim=settings.oidc_user_claim,
        groups_claim=settings.oidc_groups_claim,
        here=here,
    )


def webhook_secret(settings: Settings) -> WebhookSecret | None:
    """Return what reads the secret of webhooks; None: the settings name none."""
    file = settings.webhook_secret_file
    return None if file is None else lambda: read_secret_file(file, "webhook_secret_file")
