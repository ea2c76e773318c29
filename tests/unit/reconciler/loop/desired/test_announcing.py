"""Who hears of changes that are held, and of a halt."""

from reconciler.loop.desired.announcing import about_halt, about_held
from reconciler.store.stored import AuditEvent, Halt
from tests.factories import NOW, REVISION
from tests.unit.spaces.builders import begin, doc, many, space


def notifier(name, in_space, *events):
    spec = {"type": "slack", "url": {"file": "hook"}, "events": list(events)}
    return doc("Notifier", name, spec, **({"space": in_space} if in_space else {}))


DOCUMENTS = begin(
    {
        "s.yaml": many(space("a"), space("b")),
        "n.yaml": many(
            notifier("all", None, "held", "broken", "halted"),
            notifier("of-a", "a", "held", "halted"),
            notifier("of-b", "b", "held", "broken"),
        ),
    }
).in_force.documents


def held(in_space, name, because="no-right"):
    return AuditEvent("held", NOW, None, {"change": {"space": in_space, "name": name, "because": because}})


def test_each_hears_of_its_own_spaces_in_one_message():
    events = [
        held("a", "one"),
        held("a", "two", "waits"),
        held("b", "three", "broken"),
        held("new", "four"),
        AuditEvent("admitted", NOW, None, {}),
    ]
    told = about_held(DOCUMENTS, events, 7, NOW)
    assert [(each.receiver, each.body["event"], [it["name"] for it in each.body["changes"]]) for each in told] == [
        ("root/all", "held", ["one", "two", "four"]),
        ("a/of-a", "held", ["one", "two"]),
        ("root/all", "broken", ["three"]),
        ("b/of-b", "broken", ["three"]),
    ]
    assert len({each.id for each in told}) == 4


def test_a_message_lists_some_and_counts_all():
    (told,) = about_held(DOCUMENTS, [held("new", f"n{number}") for number in range(50)], 7, NOW)
    assert (len(told.body["changes"]), told.body["count"]) == (20, 50)


def test_a_halt_is_told_once_and_a_failed_fetch_never():
    halt = Halt("HistoryRewritten", "the branch was rewound", REVISION, NOW)
    fetch = Halt("FetchFailed", "no route", None, NOW)
    (told,) = about_halt(DOCUMENTS, None, halt, 7, NOW)
    assert (told.receiver, told.body["halt"]["reason"]) == ("root/all", "HistoryRewritten")
    assert about_halt(DOCUMENTS, fetch, halt, 7, NOW) == [told]
    for before, after in ((halt, halt), (halt, None), (None, fetch), (halt, fetch)):
        assert about_halt(DOCUMENTS, before, after, 7, NOW) == []
