import json

import pytest

from spaces.catalog import Catalog
from spaces.in_force import KeptBecause, Recorded, restore
from spaces.reading.attachments import NOT_THERE, out_of
from spaces.records import from_record, to_record
from tests.unit.spaces.builders import BROKEN, begin, context, go_on, many, names, ref, space, stack
from tests.unit.spaces.test_in_force import BASE, CASES


def reading(revisions):
    return lambda revision, path: out_of(revisions[revision])(path) if revision in revisions else NOT_THERE


def restarted(in_force, revisions, keep=None):
    """Forget everything but the record and the revisions' files, and read it all again."""
    record = json.loads(json.dumps(to_record(Recorded.of(in_force))))
    proposed = Catalog.empty().advance(revisions[in_force.revision])
    return restore(proposed, from_record(record, reading(revisions)), in_force.revision, keep or {})


def same(one, other):
    assert names(one) == names(other)
    for each in one.catalog.refs():
        assert one.catalog.placed(each).same(other.catalog.placed(each)), each
    assert {r: (k.revision, k.because, k.waits_for) for r, k in one.kept.items()} == {
        r: (k.revision, k.because, k.waits_for) for r, k in other.kept.items()
    }
    assert one.pending == other.pending
    assert one.diagnostics == other.diagnostics


def merged(files, changed):
    return {path: data for path, data in (files | changed).items() if data is not None}


@pytest.mark.parametrize("changed", [pytest.param(case.values[0], id=case.id) for case in CASES])
def test_a_restart_finds_what_was_in_force(changed):
    after = go_on(begin(BASE), changed)
    revisions = {"r0": BASE, "r1": merged(BASE, changed)}
    same(restarted(after, revisions), after)


def test_a_restart_with_held_documents():
    changed = {"p/new.yaml": stack("new"), "p/net.yaml": None, "p/space.yaml": space("live")}
    keep = {ref(text): KeptBecause.HELD for text in ("Stack prod/new", "Stack prod/net", "Space prod", "Space live")}
    after = go_on(begin(BASE), changed, keep=keep)
    same(restarted(after, {"r0": BASE, "r1": merged(BASE, changed)}, keep), after)


def test_a_pending_context_does_not_push_a_stack_out():
    files = BASE | {"c2.yaml": context("more", {"B": "1"}), "p/net.yaml": stack("net", "common", "more")}
    changed = {"p/c.yaml": context("more", {"A": "2"})}
    after = go_on(begin(files), changed)
    same(restarted(after, {"r0": files, "r1": merged(files, changed)}), after)


def test_all_well_leaves_nothing_to_remember():
    assert to_record(Recorded.of(begin(BASE))) == {"kept": [], "pending": [], "directories": {}}


def test_a_record_that_does_not_belong_is_refused():
    record = to_record(Recorded.of(go_on(begin(BASE), {"p/net.yaml": BROKEN})))
    with pytest.raises(ValueError, match=r"Stack prod/net is not document 1 of p/net\.yaml at r0"):
        from_record(record, reading({"r0": {"p/net.yaml": many(stack("other"))}}))
    with pytest.raises(ValueError, match="Stack prod/net"):
        from_record(record, reading({}))
