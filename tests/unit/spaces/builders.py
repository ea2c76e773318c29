"""Short ways to write configuration files for these tests."""

import json

from spaces.catalog import Catalog
from spaces.in_force import settle
from spaces.names import Kind, ResourceRef, Revision, SpaceName, StackId


def doc(kind, name, spec, **metadata):
    text = {"apiVersion": "stationkeeper/v1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
    return json.dumps(text).encode() + b"\n"


def many(*documents):
    return b"---\n".join(documents)


def space(name, parent=None, *, inherit=True):
    spec = {"inherit": inherit} | ({"parent": parent} if parent else {})
    return doc("Space", name, spec)


def context(name, env=None, *, in_space=None, **spec):
    return doc("Context", name, {"env": env or {}} | spec, **({"space": in_space} if in_space else {}))


def repository(name, in_space=None, **spec):
    spec = {"url": "https://git.example.org/infra.git"} | spec
    return doc("Repository", name, spec, **({"space": in_space} if in_space else {}))


def stack(name, *contexts, in_space=None, moved_from=None, source=None, labels=None, **spec):
    metadata = ({"space": in_space} if in_space else {}) | ({"movedFrom": moved_from} if moved_from else {})
    metadata |= {"labels": labels} if labels else {}
    spec = {"tool": "terraform", "source": source or {"path": "."}, "contexts": list(contexts)} | spec
    return doc("Stack", name, spec, **metadata)


def blueprint(name, *template, version="1", inputs=(), in_space=None):
    spec = {"version": version, "inputs": list(inputs), "template": list(template)}
    return doc("Blueprint", name, spec, **({"space": in_space} if in_space else {}))


def instance(name, follows, version="1", *, in_space=None, labels=None, **inputs):
    metadata = ({"space": in_space} if in_space else {}) | ({"labels": labels} if labels else {})
    return doc("BlueprintInstance", name, {"blueprint": follows, "version": version, "inputs": inputs}, **metadata)


def template(name, *contexts, kind="Stack", metadata=None, **spec):
    """A document of a template."""
    if kind == "Stack":
        spec = {"tool": "terraform", "source": {"path": "."}, "contexts": list(contexts)} | spec
    return {"kind": kind, "metadata": {"name": name} | (metadata or {}), "spec": spec}


BROKEN = b"apiVersion: stationkeeper/v1\nkind: [\n"


def ref(text):
    """`Stack a/b`, `Space a`."""
    kind, _, name = text.partition(" ")
    if kind == "Space":
        return ResourceRef(Kind.SPACE, SpaceName(name), name)
    where, _, bare = name.partition("/")
    return ResourceRef(Kind(kind), SpaceName(where), bare)


def stack_id(text):
    return StackId.parse(text)


def begin(files, revision="r0"):
    return settle(None, Catalog.empty().advance(files), files, Revision(revision))


def go_on(before, changed, revision="r1", keep=None):
    return settle(before, before.proposed.advance(changed), changed, Revision(revision), keep or {})


def names(in_force):
    """Everything in force, as text."""
    return {str(each) for each in in_force.catalog.refs()}


def codes(in_force):
    return [d.code for d in in_force.diagnostics]
