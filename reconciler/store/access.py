"""Who is let in: tokens of runs for their tfstate, tokens of people for the API, and sign-ins to the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from reconciler.core.runs import RunId
from reconciler.store import rows, statements
from reconciler.store.access_tables import api_tokens, device_logins, sessions
from reconciler.store.bases import ReadingBase, WritingBase
from reconciler.store.stored import ApiToken, DeviceLogin, Session
from reconciler.store.tables import announcements, outbox, tokens
from spaces.names import SpaceName, StackId


class AccessReading(ReadingBase):
    """The questions about tokens and sign-ins, for a `Reading`."""

    def token_stack(self, token_hash: str) -> tuple[StackId, str] | None:
        """Return the (stack, run) whose tfstate a run's token may access, while that run is active.

        A lapsed lease does not matter: an apply whose service died must still be able to write its tfstate.
        """
        row = self._connection.execute(statements.TOKEN_STACK, {"of_hash": token_hash}).one_or_none()
        return (StackId(SpaceName(row.space), row.name), row.run_id) if row else None

    def api_token(self, token_id: str) -> ApiToken | None:
        """Return one token of the API, even an expired one; None if there is none."""
        query = select(api_tokens).where(api_tokens.c.id == token_id)
        row = self._connection.execute(query).one_or_none()
        return _token_from_row(row) if row else None

    def api_tokens(self) -> list[ApiToken]:
        """Return all tokens of the API by id."""
        query = select(api_tokens).order_by(api_tokens.c.id)
        return [_token_from_row(row) for row in self._connection.execute(query)]

    def session(self, session_id: str) -> Session | None:
        """Return one sign-in to the page, even an expired one; None if there is none."""
        query = select(sessions).where(sessions.c.id == session_id)
        row = self._connection.execute(query).one_or_none()
        return _session_from_row(row) if row else None

    def device_login(self, login_id: str) -> DeviceLogin | None:
        """Return the sign-in of a program, even an expired one; None if there is none."""
        query = select(device_logins).where(device_logins.c.id == login_id)
        row = self._connection.execute(query).one_or_none()
        return _login_from_row(row) if row else None

    def device_login_of(self, code: str) -> DeviceLogin | None:
        """Return the sign-in of a program by its code."""
        query = select(device_logins).where(device_logins.c.code == code)
        row = self._connection.execute(query).one_or_none()
        return _login_from_row(row) if row else None


class AccessWriting(AccessReading, WritingBase):
    """The changes of tokens and sign-ins, for a `Transaction`."""

    def put_tokens(self, hashes: Mapping[str, tuple[StackId, RunId]]) -> None:
        """Let tokens, given as their hashes, access the tfstate of their stack while their run is active."""
        keys = self._keys_of({stack for stack, _ in hashes.values()}) if hashes else {}
        values = [{"hash": each, "stack_id": keys[stack], "run_id": run} for each, (stack, run) in hashes.items()]
        if values:
            self._connection.execute(self._insert(tokens).on_conflict_do_nothing(), values)

    def add_api_token(self, token: ApiToken) -> None:
        """Store a token of the API."""
        self._connection.execute(api_tokens.insert(), _token_to_row(token))

    def use_api_token(self, token_id: str, at: datetime) -> None:
        """Note when a token of the API was used."""
        change = update(api_tokens).where(api_tokens.c.id == token_id).values(used_at=rows.micros(at))
        self._connection.execute(change)

    def remove_api_token(self, token_id: str) -> bool:
        """Revoke a token of the API; return False if there is none."""
        done = self._connection.execute(delete(api_tokens).where(api_tokens.c.id == token_id))
        return bool(done.rowcount)

    def add_session(self, session: Session) -> None:
        """Store a sign-in to the page, and forget those that had expired by then."""
        expired = sessions.c.expires_at <= rows.micros(session.created_at)
        self._connection.execute(delete(sessions).where(expired))
        self._connection.execute(sessions.insert(), _session_to_row(session))

    def add_device_login(self, login: DeviceLogin, most: int) -> bool:
        """Store the sign-in of a program, and forget expired ones; return False where so many wait already."""
        expired = device_logins.c.expires_at <= rows.micros(login.created_at)
        self._connection.execute(delete(device_logins).where(expired))
        if self._connection.execute(select(func.count()).select_from(device_logins)).scalar_one() >= most:
            return False
        self._connection.execute(device_logins.insert(), _login_to_row(login))
        return True

    def confirm_device_login(self, login: DeviceLogin) -> bool:
        """Store who said yes to the sign-in of a program; return False if somebody has, or it is gone."""
        waits = (device_logins.c.id == login.id) & device_logins.c.subject.is_(None)
        done = self._connection.execute(update(device_logins).where(waits).values(_login_to_row(login)))
        return bool(done.rowcount)

    def remove_device_login(self, login_id: str) -> None:
        """Forget the sign-in of a program."""
        self._connection.execute(delete(device_logins).where(device_logins.c.id == login_id))

    def remove_session(self, session_id: str) -> None:
        """End a sign-in to the page, if there is one."""
        self._connection.execute(delete(sessions).where(sessions.c.id == session_id))

    def forget_passing(self) -> None:
        """End all sign-ins, and forget what was still to be told: of a database that was restored."""
        for table in (sessions, device_logins, outbox, announcements):
            self._connection.execute(delete(table))


def _token_to_row(token: ApiToken) -> dict[str, Any]:
    """Return the columns of a token of the API."""
    return {
        "id": token.id,
        "hash": token.hash,
        "subject": token.subject,
        "created_by": token.created_by,
        "created_at": rows.micros(token.created_at),
        "expires_at": rows.micros(token.expires_at),
        "made_with": token.made_with,
        "name": token.name,
        "used_at": rows.micros(token.used_at),
        "idp_groups": json.dumps(token.idp_groups) if token.idp_groups else None,
    }


def _token_from_row(row: Row[Any]) -> ApiToken:
    """Return the token of the API in a row."""
    made, ends = rows.instant(row.created_at), rows.from_micros(row.expires_at)
    groups = () if row.idp_groups is None else tuple(json.loads(row.idp_groups))
    used = rows.from_micros(row.used_at)
    return ApiToken(row.id, row.subject, row.created_by, made, ends, row.hash, row.made_with, row.name, used, groups)


def _session_to_row(session: Session) -> dict[str, Any]:
    """Return the columns of a sign-in to the page."""
    return {
        "id": session.id,
        "token": session.token,
        "proof": session.proof,
        "created_at": rows.micros(session.created_at),
        "expires_at": rows.micros(session.expires_at),
    }


def _session_from_row(row: Row[Any]) -> Session:
    """Return the sign-in to the page in a row."""
    return Session(row.id, row.token, row.proof, rows.instant(row.created_at), rows.instant(row.expires_at))


def _login_to_row(login: DeviceLogin) -> dict[str, Any]:
    """Return the columns of the sign-in of a program."""
    return {
        "id": login.id,
        "code": login.code,
        "client": login.client,
        "created_at": rows.micros(login.created_at),
        "expires_at": rows.micros(login.expires_at),
        "subject": login.subject,
        "idp_groups": json.dumps(login.idp_groups) if login.idp_groups else None,
        "token": login.token,
    }


def _login_from_row(row: Row[Any]) -> DeviceLogin:
    """Return the sign-in of a program in a row."""
    groups = () if row.idp_groups is None else tuple(json.loads(row.idp_groups))
    made, ends = rows.instant(row.created_at), rows.instant(row.expires_at)
    return DeviceLogin(row.id, row.code, row.client, made, ends, row.subject, groups, row.token)
