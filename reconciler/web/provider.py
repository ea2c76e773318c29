"""Signing in with an identity provider (OpenID Connect): the browser goes there to ask, and returns with a code.

The page calls `begin`, keeps what it returns in the browser, and calls `finish` with that and with what the provider
sent. What comes of it is a person: the one User document that the provider's token means, with the groups that it
confirms. Nothing else of the provider's is kept, and it is not asked again.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from rbac.access.access import Access
from rbac.access.subjects import Subject, user
from reconciler.web.issuers import Issuers, RefusedToken, check_secure, discovered, read, times
from spaces.documents.documents import PlacedDocuments
from spaces.model.people import UserSpec, email_key
from spaces.names import Kind, is_name

CALLBACK = "/sign-in/callback"
EMAIL = "email"
_SECONDS = 10.0
_LONGEST = 256 * 1024
_FRESH = 600.0
_MOST_GROUPS = 1000
_LONGEST_GROUP = 255


class CannotSignIn(Exception):
    """Nobody is signed in. The message says why, for the person and for the log."""


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """What was asked of the provider, and where the person wanted to. Only their browser keeps it."""

    state: str
    nonce: str
    verifier: str
    there: str

    def packed(self) -> str:
        """Return it as the value of a cookie."""
        text = json.dumps([self.state, self.nonce, self.verifier, self.there])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def unpacked(cls, text: str) -> SignInRequest:
        """Return the question in a cookie; CannotSignIn for any other text."""
        try:
            state, nonce, verifier, there = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, TypeError, RecursionError):
            state = nonce = verifier = there = None
        parts = (state, nonce, verifier, there)
        if not all(isinstance(part, str) and part for part in parts):
            raise CannotSignIn("this sign-in was begun elsewhere, or too long ago: begin again")
        return cls(*parts)


@dataclass(slots=True)
class OidcProvider:
    """An identity provider, and this service as its client. Any thread may ask."""

    issuer: str
    client_id: str
    redirect_uri: str
    issuers: Issuers
    secret: Callable[[], str] | None = field(default=None, repr=False)
    """Reads the client's secret; None: the provider asks for none."""
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    user_claim: str = EMAIL
    groups_claim: str = "groups"
    here: bool = False
    """Whether it may be on this machine, without TLS."""
    _known: tuple[float, dict[str, Any]] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What people know it by."""
        return urlsplit(self.issuer).netloc

    def begin(self, there: str) -> tuple[str, SignInRequest]:
        """Return the address to send a browser to, and the question that goes with it; CannotSignIn."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415 - slow to import
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415

        question = SignInRequest(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), there)
        address = prepare_grant_uri(
            self._endpoint("authorization_endpoint"),
            client_id=self.client_id,
            response_type="code",
            redirect_uri=self.redirect_uri,
            scope=" ".join(self.scopes),
            state=question.state,
            nonce=question.nonce,
            code_challenge=create_s256_code_challenge(question.verifier),
            code_challenge_method="S256",
        )
        return address, question

    def finish(self, question: SignInRequest, sent: Mapping[str, str], now: datetime) -> dict[str, Any]:
        """Return the claims of the person who comes back; CannotSignIn where anything does not fit."""
        if not secrets.compare_digest(sent.get("state", "").encode(), question.state.encode()):
            raise CannotSignIn("this sign-in was begun in another window or browser: begin again")
        if sent.get("iss", self.issuer) != self.issuer:
            raise CannotSignIn("another provider answers than the one that was asked")
        if "error" in sent:
            raise CannotSignIn(f"{self.name} refuses: {_plain(sent.get('error_description') or sent['error'])}")
        token = self._exchange(sent.get("code", ""), question.verifier).get("id_token")
        if not isinstance(token, str):
            raise CannotSignIn(f"{self.name} gives no id_token: is openid among the scopes?")
        try:
            header, claims = read(token)
            self.issuers.verify(token, header, self.issuer)
            times(claims, now)
        except RefusedToken as refused:
            raise CannotSignIn(f"the token of {self.name} does not count: {refused}") from None
        wrong = self._wrong(claims, question.nonce)
        if wrong is not None:
            raise CannotSignIn(f"the token of {self.name} does not count: it has {wrong}")
        return claims

    def person(self, claims: Mapping[str, Any], documents: PlacedDocuments, access: Access) -> Subject:
        """Return the user that claims mean, with the groups that they confirm; CannotSignIn where there is none."""
        value = claims.get(self.user_claim)
        if not isinstance(value, str) or not value:
            raise CannotSignIn(f"{self.name} does not say who you are: its token has no {self.user_claim}")
        if self.user_claim == EMAIL:
            if claims.get("email_verified") is not True:
                raise CannotSignIn(f"{self.name} has not verified your address {_plain(value)}")
            names = [
                placed.ref.name
                for placed in documents.of_kind(Kind.USER)
                if isinstance(spec := placed.resource.spec, UserSpec)
                and email_key(value) in map(email_key, spec.emails)
            ]
        else:
            names = [value] if is_name(value) else []
        if len(names) != 1 or not access.knows(user(names[0])):
            what = "several users have" if len(names) > 1 else "no User document has"
            raise CannotSignIn(f"{what} the {self.user_claim} {_plain(value)}: ask an admin of root for one")
        return user(names[0], _groups(claims.get(self.groups_claim)))

    def _wrong(self, claims: Mapping[str, Any], nonce: str) -> str | None:
        audience = claims.get("aud")
        listed = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self.issuer:
            return "another issuer"
        if self.client_id not in listed:
            return "another audience"
        if claims.get("azp", self.client_id) != self.client_id or (len(listed) > 1 and "azp" not in claims):
            return "another authorized party"
        given = claims.get("nonce")
        if not isinstance(given, str) or not secrets.compare_digest(given.encode(), nonce.encode()):
            return "another nonce"
        return None if isinstance(claims.get("sub"), str) else "no subject"

    def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        import httpx  # noqa: PLC0415 - few services sign people in so

        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
            "client_id": self.client_id,
        }
        secret = self.secret() if self.secret is not None else None
        methods = self._discovery().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        by_header = secret is not None and "client_secret_basic" in methods
        if secret is not None and not by_header:
            form["client_secret"] = secret
        own = (quote(self.client_id, safe=""), quote(secret or "", safe="")) if by_header else None
        try:
            with httpx.stream(
                "POST",
                self._endpoint("token_endpoint"),
                data=form,
                auth=own,
                timeout=_SECONDS,
                follow_redirects=False,
                headers={"Accept": "application/json"},
            ) as answer:
                body = b""
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > _LONGEST:
                        raise CannotSignIn(f"{self.name} answers with more than {_LONGEST} bytes")
            found = json.loads(body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise CannotSignIn(f"{self.name} cannot be asked: {_plain(str(error))}") from None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise CannotSignIn(f"{self.name} answers {answer.status_code}, without JSON")
        if answer.status_code != 200:
            why = found.get("error_description") or found.get("error") or answer.status_code
            raise CannotSignIn(f"{self.name} gives no token: {_plain(str(why))}")
        return found

    def _endpoint(self, name: str) -> str:
        found = self._discovery().get(name)
        try:
            check_secure(str(found), here=self.here)
        except OSError as error:
            raise CannotSignIn(f"the {name} of {self.name} cannot be used: {error}") from None
        return str(found)

    def _discovery(self) -> dict[str, Any]:
        known = self._known
        if known is None or time.monotonic() - known[0] > _FRESH:
            try:
                self._known = known = time.monotonic(), discovered(self.issuers.fetch, self.issuer)
            except OSError as error:
                raise CannotSignIn(f"{self.name} cannot be asked: {error}") from None
        return known[1]


def _groups(claim: object) -> frozenset[str]:
    listed = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    found = [each for each in listed if isinstance(each, str) and 0 < len(each) <= _LONGEST_GROUP]
    return frozenset(found[:_MOST_GROUPS])


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]
