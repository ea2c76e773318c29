"""Short ways to write access rules for these tests."""

from datetime import UTC, datetime, timedelta

from rbac.access.access import Access
from rbac.access.actions import Action
from rbac.access.grants import AccessDocuments
from rbac.access.subjects import Subject, user
from spaces.documents.tree import SpaceNode, SpaceTree
from spaces.model.people import GroupSpec, UserSpec
from spaces.model.role import RoleBindingSpec, RoleSpec
from spaces.names import ROOT, Kind, ResourceRef, SpaceName, StackId

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def tree(**spaces):
    """`b="a"` hangs b below a without inheriting, `b="+a"` with it."""
    nodes = {n: SpaceNode(SpaceName(p.lstrip("+")), p.startswith("+")) for n, p in spaces.items()}
    return SpaceTree.build({SpaceName(name): node for name, node in nodes.items()})


def binding(where, role, *subjects, expires=None):
    """`binding("space/name", "writer", "user:bob", "group:devs")`; `expires` in seconds from NOW."""
    space, _, name = where.partition("/")
    spec = {"role": role, "subjects": [dict([each.split(":")]) for each in subjects]}
    if expires is not None:
        spec["expires"] = (NOW + timedelta(seconds=expires)).isoformat()
    return ResourceRef(Kind.ROLE_BINDING, SpaceName(space), name), RoleBindingSpec.model_validate(spec)


def documents(*bindings, roles=None, users="alice bob carol", groups=None, api_keys="ci", stacks=()):
    return AccessDocuments(
        roles={name: RoleSpec(actions=tuple(actions.split())) for name, actions in (roles or {}).items()},
        bindings=dict(bindings),
        users={name: UserSpec() for name in users.split()},
        groups={
            n: g if isinstance(g, GroupSpec) else GroupSpec(members=tuple(g.split())) for n, g in (groups or {}).items()
        },
        api_keys=frozenset(api_keys.split()),
        stacks=frozenset(StackId.parse(each) for each in stacks),
    )


def compiled(where, *bindings, admins=(), now=NOW, **others):
    return Access.compile(documents(*bindings, **others), where, [user(name) for name in admins], now)


def ask(access, who, action, space=ROOT):
    return access.decide(Subject.parse(who), Action.parse(action), SpaceName(space))


def can(access, who, action, space=ROOT):
    return ask(access, who, action, space).allowed
