"""What the service is asked for beside stacks and runs: what notifiers were told, and access after a merge."""

from __future__ import annotations

from dataclasses import replace

from rbac.access.access import Access
from rbac.access.grants import AccessDocuments
from reconciler.core.runs import RunStatus
from reconciler.metrics import Metrics
from reconciler.runs.audit import about_delivery
from reconciler.store.sql import SqlStore
from reconciler.web.ports import Ports
from reconciler.web.server import HttpServer
from spaces.model.people import UserSpec
from spaces.model.role import RoleBindingSpec
from spaces.names import Kind, ResourceRef, SpaceName
from tests.factories import NOW, a_run
from tests.integration.cli.conftest import Stage, Station
from tests.integration.web.warm import WarmApp


def test_a_notice_that_was_given_up_is_sent_again(remote: Station, store: SqlStore) -> None:
    failed = a_run("production/network", status=RunStatus.FAILED, reason="ToolFailed")
    with store.writing() as transaction:
        transaction.add_runs([failed])
        given_up = about_delivery(failed, "production/hook", "run.failed", "timeout", NOW)
        held = [about_delivery(None, hook, "held", None, NOW) for hook in ("production/hook", "platform/hook")]
        transaction.append_audit([given_up, *held])
    (line,) = remote("notification", "list", "--failed").out.splitlines()[1:]
    assert line.split()[1:4] == ["production/hook", "run.failed", "production/network"]
    assert line.endswith("given up: timeout")
    resent = remote("notification", "resend", line.split()[0])
    assert resent.out == f"run.failed of run {failed.id} is sent again to production/hook\n"
    shown = remote("notification", "list", "-n", "2", "--notifier", "production/hook").out.splitlines()[1:]
    assert [each.split()[-1] for each in shown] == ["waiting", "taken"]
    for space, told in (("production", 3), ("platform", 4)):
        assert len(remote("notification", "list", "-s", space).out.splitlines()[1:]) == told
    refused = remote("notification", "resend", "99")
    assert (refused.code, refused.err) == (1, "error: there is no delivery 99\n")


def test_the_service_is_asked_what_merging_would_make_of_access(
    remote: Station, stage: tuple[Stage, HttpServer], ports: Ports, access: Access
) -> None:
    admin = RoleBindingSpec.model_validate({"role": "admin", "subjects": [{"user": "ada"}]})
    rules = AccessDocuments(
        users={"ada": UserSpec()}, bindings={ResourceRef(Kind.ROLE_BINDING, SpaceName("production"), "x"): admin}
    )
    merged = Access.compile(rules, access.tree, (), NOW)
    stage[0].app = WarmApp(
        replace(ports, metrics=Metrics(), access_with=lambda ref, _: merged if ref == "topic" else f"there is no {ref}")
    )
    asked = ("access", "can", "ada", "stack:update", "production")
    assert (remote(*asked).code, remote(*asked, "--merging", "topic").code) == (2, 0)
    changes = [line.split()[:2] for line in remote("access", "changes", "topic").out.splitlines()[1:]]
    # Who has a role in production sees the space above it, too.
    assert changes == [["user:ada", "gains"], ["user:ada", "gains"]]
    assert "there is no other" in remote("access", "of", "ada", "--merging", "other").err
    both = remote("access", "who", "stack:update", "production", "--merging", "topic", "--ref", "topic")
    assert (both.code, "give one of them" in both.err) == (1, True)
