"""What an operator is told beside the findings in documents: about access, and sources that cannot be followed."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from rbac.identity import IdentityMode
from rbac.rules import Rules
from reconciler.git.errors import GitReason
from reconciler.git.mirrors import Remote
from reconciler.git.remote import redact
from reconciler.loop.outside import named_at
from spaces.diagnostics import Diagnostic, Severity
from spaces.in_force import InForce
from spaces.names import Revision

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class AboutAccess:
    """Says what an operator must know about who may change what; in the log once."""

    rules: Rules
    identity: IdentityMode
    _told: bool = False

    def diagnostics(self, in_force: InForce | None) -> list[Diagnostic]:
        """Warn where everything is admitted, or where persons are not proven."""
        if in_force is None:
            return []
        if not self.rules.judges(in_force.catalog):
            summary = "access is not set up: every change on the branch is admitted, whoever made it"
            hint = "name the first admins in the setting admins, or write User and RoleBinding documents"
            return [self._warning("access-not-configured", summary, hint)]
        if self.identity is IdentityMode.COMMITTER:
            summary = "commits count as their committer's by the address in them, which proves nothing by itself"
            hint = "only a server that checks the address makes identity = committer safe"
            return [self._warning("identity-not-proven", summary, hint)]
        return []

    def _warning(self, code: str, summary: str, hint: str) -> Diagnostic:
        if not self._told:
            _log.warning("%s (%s)", summary, hint)
            self._told = True
        return Diagnostic(Severity.WARNING, code, summary, hint)


def unavailable(  # noqa: PLR0917
    reason: GitReason,
    remote: Remote,
    message: str,
    before: Revision | None,
    in_force: InForce | None,
    hint: str | None = None,
) -> Diagnostic:
    """Word why a source repository could not be followed, at the place in a document that names it."""
    summary = f"source repository {redact(remote.url)} (branch {remote.branch}): {message}"
    if hint is None and before is not None:
        hint = f"its last good revision {before[:12]} stays in use"
    about_branch = reason is GitReason.BRANCH_NOT_FOUND
    at = named_at(remote, in_force, branch=about_branch) if in_force is not None else None
    return Diagnostic(Severity.WARNING, f"source-{_kebab(str(reason))}", summary, hint, at)


def _kebab(word: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(word))
