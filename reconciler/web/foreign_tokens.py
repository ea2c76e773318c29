"""Tokens that others signed, such as those that a CI system gives to its jobs, for the API keys that trust them.

`authenticate` asks `Foreigners.holder`. Nothing of a token counts before its signature was checked with a key that its
issuer publishes. Only issuers that ApiKey documents name are ever asked for keys, and each seldom: an unknown key does
not make the service fetch again and again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.web.issuers import LONGEST, Issuers, RefusedToken, read, times
from spaces.documents.documents import PlacedDocuments
from spaces.model.people import ApiKeySpec, OidcTrust
from spaces.names import Kind

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Foreigners:
    """Finds the API keys that foreign tokens open. Any thread may ask."""

    issuers: Issuers = field(default_factory=Issuers)

    def holder(self, text: str, documents: PlacedDocuments, now: datetime) -> tuple[str, datetime] | None:
        """Return the name of the one API key that a token opens, and when it dies; None for one that opens none."""
        if text.count(".") != 2 or len(text) > LONGEST:
            return None
        try:
            return self._holder(text, _trusts(documents), now)
        except RefusedToken as refused:
            _log.info("a token that another issuer signed was refused: %s", refused)
            return None

    def _holder(self, text: str, trusts: Mapping[str, OidcTrust], now: datetime) -> tuple[str, datetime]:
        header, claims = read(text)
        mine = {name: trust for name, trust in trusts.items() if trust.issuer == claims.get("iss")}
        if not mine:
            raise RefusedToken("no ApiKey names its issuer")
        issuer = str(claims["iss"])
        self.issuers.verify(text, header, issuer)
        dies = times(claims, now)
        audiences = claims.get("aud")
        listed = audiences if isinstance(audiences, list) else [audiences]
        opens = [
            name
            for name, trust in mine.items()
            if trust.audience in listed and isinstance(claims.get("sub"), str) and trust.means(claims["sub"])
        ]
        if len(opens) != 1:
            why = (
                f"it would open several: {', '.join(sorted(opens))}"
                if opens
                else "no ApiKey has its audience and subject"
            )
            raise RefusedToken(f"{why} (issuer {issuer})")
        return opens[0], dies


def _trusts(documents: PlacedDocuments) -> dict[str, OidcTrust]:
    found = ((placed.ref.name, placed.resource.spec) for placed in documents.of_kind(Kind.API_KEY))
    return {name: spec.oidc for name, spec in found if isinstance(spec, ApiKeySpec) and spec.oidc is not None}
