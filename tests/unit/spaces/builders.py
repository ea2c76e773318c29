"""Short ways to write configuration files for these tests."""

import json
from datetime import UTC, datetime

from rbac.admission.admit import Admission, Commit, admit, read_tree, restore
from rbac.admission.entries import Held
from rbac.admission.settings import Rules
from spaces.catalog import Catalog
from spaces.composition.reading import FileReading
from spaces.in_force import InForce
from spaces.names import Kind, ResourceRef, Revision, SpaceName, StackId
from spaces.reading.attachments import no_files


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


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FREE = Rules(judged=False, destroy_budget=100.0)


class State:
    """What admission made of some files, and of what is in force, at one place."""

    def __init__(self, admission):
        self.admission = admission

    def __getattr__(self, name):
        admission = object.__getattribute__(self, "admission")
        return getattr(admission if hasattr(admission, name) else admission.in_force, name)


def begin(files, revision="r0", **more):
    return State(admit(None, Commit(Revision(revision), files, **more), FREE, NOW))


def go_on(before, changed, revision="r1", **more):
    found = admit(before.admission, Commit(Revision(revision), changed, **more), FREE, NOW, halting=False)
    assert isinstance(found, Admission)
    return State(found)


def found_again(admission, files, rules=FREE):
    """What a fresh process makes of the branch's files and the store."""
    records = {
        path: (force, json.loads(json.dumps(entries))) for path, (force, entries) in admission.held.to_records().items()
    }
    held = Held.from_records(records, files.get)
    every = {path: files.get(path) for path in {*files, *records}}
    tree = read_tree(Catalog(), every, held, FileReading(no_files)).after
    in_force = InForce(admission.in_force.revision, tree)
    return restore(in_force, held, admission.sources, admission.writes, former=admission.former, rules=rules, now=NOW)


def everything(admission):
    """All by which two services could disagree."""
    told = [(d.code, d.summary) for d in admission.in_force.diagnostics if d.code != "documents-left"]
    tree = admission.in_force.tree
    contents = {
        str(ref): (it.resource.content, it.resource.file, it.parent)
        for ref in tree.documents.refs()
        if (it := tree.documents.placed(ref))
    }
    return contents, tree.claims, admission.held.to_records(), admission.held_changes, told


def names(state):
    """Everything in force, as text."""
    return {str(each) for each in getattr(state, "in_force", state).documents.refs()}


def codes(state):
    return [d.code for d in getattr(state, "in_force", state).diagnostics]


def kept(state):
    """The documents that are in force as they were, each with the reason."""
    found = {}
    for path, file in state.held.files.items():
        for key, entry in file.entries.items():
            for placed in state.in_force.tree.placed.get(path, ()):
                if entry.at is not None and (placed.resource.kind, placed.resource.name) == key[:2]:
                    found[str(placed.ref)] = entry.hold.because.value
    return found
