"""Tokens: of a run for its tfstate, and of people for the API. Only their hashes are stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

from reconciler.core.runs import Run, RunId
from reconciler.store.protocol import Transaction
from reconciler.store.stored import ApiToken


def token_hash(token: str) -> str:
    """Return the hash that is stored of a token. Tokens are 32 random bytes, so a plain hash cannot be searched."""
    return hashlib.sha256(token.encode()).hexdigest()


def mint_tokens(transaction: Transaction, runs: Iterable[Run]) -> dict[RunId, str]:
    """Make a token for each run, which opens its stack's tfstate while it is active; only their hashes are stored."""
    made = {secrets.token_urlsafe(32): run for run in runs}
    transaction.put_tokens({token_hash(token): (run.stack, run.id) for token, run in made.items()})
    return {run.id: token for token, run in made.items()}


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
