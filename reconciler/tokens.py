"""Tokens: of a run for its tfstate, and of people for the API. Only their hashes are stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

from reconciler.core.runs import RunId
from reconciler.store.protocol import Transaction
from reconciler.store.stored import ApiToken
from spaces.names import StackId


def token_hash(token: str) -> str:
    """Return the hash that is stored of a token. Tokens are 32 random bytes, so a plain hash cannot be searched."""
    return hashlib.sha256(token.encode()).hexdigest()


def mint_token(transaction: Transaction, stack: StackId, run: RunId) -> str:
    """Make a token that opens this stack's tfstate while the run is active; only its hash is stored."""
    token = secrets.token_urlsafe(32)
    transaction.put_token(token_hash(token), stack, run)
    return token


def revoke_tokens(transaction: Transaction, tokens: Iterable[ApiToken]) -> list[ApiToken]:
    """Revoke tokens of the API, and all that were made with them; return them all."""
    every, ended, wanted = transaction.api_tokens(), dict[str, ApiToken](), list(tokens)
    while wanted:
        token = wanted.pop()
        if token.id not in ended:
            ended[token.id] = token
            transaction.remove_api_token(token.id)
            wanted += [each for each in every if each.made_with == token.id]
    return list(ended.values())
