"""What an operator is told of who may change what."""

import logging

from rbac.admission.settings import Rules
from rbac.identity import Admins, IdentityMode
from reconciler.loop.desired.source_repositories import AboutAccess
from tests.unit.spaces.builders import begin, doc, stack


def test_each_warning_is_logged_once_also_one_that_comes_later(caplog):
    caplog.set_level(logging.WARNING)
    open_to_all = begin({"a.yaml": stack("a")}).in_force
    set_up = begin({"a.yaml": stack("a"), "u.yaml": doc("User", "ada", {})}).in_force
    about = AboutAccess(Rules(), IdentityMode.COMMITTER)
    told = [[each.code for each in about.diagnostics(it)] for it in (None, open_to_all, open_to_all, set_up, set_up)]
    assert told == [[], *[["access-not-configured"]] * 2, *[["identity-not-proven"]] * 2]
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("access is not set up")
    assert second.startswith("the committer's address says whose commit it is")


def test_signatures_need_no_warning(caplog):
    set_up = begin({"u.yaml": doc("User", "ada", {})}).in_force
    assert AboutAccess(Rules(Admins(frozenset({"ada"}))), IdentityMode.SIGNED).diagnostics(set_up) == []
    assert not caplog.records


def test_an_admin_who_is_nobody_is_named():
    set_up = begin({"u.yaml": doc("User", "ada", {})}).in_force
    (told,) = AboutAccess(Rules(Admins(frozenset({"ada", "adda"}))), IdentityMode.SIGNED).diagnostics(set_up)
    assert (told.code, told.hint) == ("unknown-admin", "did you mean ada?")
    assert told.summary.startswith("the setting admins names adda, who has no User document")
