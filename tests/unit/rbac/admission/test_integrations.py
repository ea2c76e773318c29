"""Who may write a cloud integration, and who may let a stack use one."""

from __future__ import annotations

import pytest

from rbac.access.subjects import user
from rbac.admission.admit import Admission, Commit, admit
from rbac.admission.settings import Rules
from rbac.identity import Admins, IdentityMode, Person
from spaces.names import Revision
from tests.unit.rbac.builders import NOW
from tests.unit.spaces.builders import blueprint, doc, instance, many, space, stack, template

RULES = Rules(Admins.parse(["root-admin"], IdentityMode.SIGNED))
ROLE = {"roleArn": "arn:aws:iam::1:role/plan"}
CLOUD = {"provider": "aws", "plan": ROLE}
LABELLED = CLOUD | {"attach": {"matchLabels": {"cloud": "aws"}}}
BASE = {
    "spaces.yaml": space("team"),
    "access.yaml": many(
        doc("Role", "stacker", {"actions": ["stack:*"]}),
        doc("Role", "orders", {"actions": ["blueprintInstance:*"]}),
        *(doc("User", name, {"emails": [f"{name}@example.com"]}) for name in ("wren", "sam", "ada")),
        doc("RoleBinding", "w", {"role": "writer", "subjects": [{"user": "wren"}]}, space="team"),
        doc("RoleBinding", "s", {"role": "stacker", "subjects": [{"user": "sam"}]}, space="team"),
        doc("RoleBinding", "o", {"role": "orders", "subjects": [{"user": "sam"}]}, space="team"),
        doc("RoleBinding", "a", {"role": "admin", "subjects": [{"user": "ada"}]}, space="team"),
    ),
    "cloud.yaml": many(doc("CloudIntegration", "prod", CLOUD), doc("CloudIntegration", "all", LABELLED | {"provider": "aws"})),
    "s.yaml": stack("s", in_space="team"),
    "b.yaml": blueprint("web", template("made", integrations=["prod"])),
}  # fmt: skip


@pytest.mark.parametrize(
    ("person", "changed", "missing"),
    [
        ("wren", {"s.yaml": stack("s", in_space="team", integrations=["prod"])}, None),
        ("sam", {"s.yaml": stack("s", in_space="team", integrations=["prod"])}, "integration:use"),
        ("sam", {"s.yaml": stack("s", in_space="team", labels={"cloud": "aws"})}, "integration:use"),
        ("sam", {"s.yaml": stack("s", in_space="team", autodeploy=False)}, None),
        ("wren", {"i.yaml": instance("i", "web", in_space="team")}, None),
        ("sam", {"i.yaml": instance("i", "web", in_space="team")}, "integration:use"),
        ("wren", {"c.yaml": doc("CloudIntegration", "mine", CLOUD, space="team")}, "integration:create"),
        ("ada", {"c.yaml": doc("CloudIntegration", "mine", CLOUD, space="team")}, None),
    ],
)
def test_who_may(person: str, changed: dict[str, bytes], missing: str | None) -> None:
    first = admit(None, Commit(Revision("r0"), BASE), RULES, NOW)
    assert isinstance(first, Admission)
    commit = Commit(Revision("r1"), changed, Person(user(person), "by a test"))
    after = admit(first, commit, RULES, NOW)
    assert isinstance(after, Admission)
    held = [each.to_json()["missing"] for each in after.held_changes]
    assert held == ([{"action": missing, "space": "team"}] if missing else [])
