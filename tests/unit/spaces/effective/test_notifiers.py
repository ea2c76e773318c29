"""The kind Notifier, and which notifiers hear of a stack."""

import pytest

from spaces.effective.notifiers import notifiers
from spaces.model.notifier import NotifierEvent
from spaces.names import SpaceName
from spaces.reading.resources import parse_file
from tests.unit.spaces.builders import begin, doc, many

SLACK = {"type": "slack", "url": {"file": "hook"}, "events": ["run.failed"]}
WEBHOOK = {"type": "webhook", "url": "https://example.com/hook", "events": ["run.failed"]}


def notifier(name="n", in_space=None, base=SLACK, **spec):
    return doc("Notifier", name, base | spec, **({"space": in_space} if in_space else {}))


def labelled(name, labels, parent=None):
    return doc("Space", name, {"inherit": False} | ({"parent": parent} if parent else {}), labels=labels)


@pytest.mark.parametrize(
    ("base", "spec", "code", "words"),
    [
        pytest.param(SLACK, {"type": "slak"}, "invalid-value", "did you mean slack?", id="type"),
        pytest.param(SLACK, {"events": ["run.fialed"]}, "invalid-value", "did you mean run.failed?", id="event"),
        pytest.param(SLACK, {"events": ["run"]}, "invalid-value", "spec.events[0]: run is not known", id="no event"),
        pytest.param(SLACK, {"events": []}, "invalid-value", "spec.events is empty", id="no events"),
        pytest.param(SLACK, {"events": ["run.failed"] * 2}, "invalid-value", "spec.events[1]", id="twice"),
        pytest.param(SLACK, {"url": "https://hooks.example.com/x"}, "invalid-value", "is a secret", id="plain slack"),
        pytest.param(SLACK, {"url": {}}, "invalid-value", "spec.url must name one of", id="no secret"),
        pytest.param(SLACK, {"url": {"vault": "secret/a#b"}}, "invalid-value", "only runs read from", id="vault"),
        pytest.param(SLACK, {"url": {"fil": "a"}}, "invalid-value", "spec.url must name one of", id="wrong secret"),
        pytest.param(SLACK, {"secret": {"file": "k"}}, "invalid-value", "spec.secret", id="slack signs nothing"),
        pytest.param(WEBHOOK, {"secret": "k"}, "wrong-type", "spec.secret", id="plain secret"),
        pytest.param(WEBHOOK, {"url": "http://example.com"}, "invalid-value", "spec.allowHttp: true", id="http"),
        pytest.param(WEBHOOK, {"url": "https://u:p@example.com"}, "invalid-value", "a user name", id="password"),
        pytest.param(WEBHOOK, {"url": "ftp://example.com"}, "invalid-value", "is not an address", id="scheme"),
        pytest.param(WEBHOOK, {"spaces": {}}, "missing-key", "spec.spaces.matchLabels", id="no labels"),
        pytest.param(WEBHOOK, {"spaces": {"matchLabels": {"a b": "c"}}}, "invalid-label", "spec.spaces", id="label"),
    ],
)
def test_what_is_wrong_is_said_and_no_address_repeated(base, spec, code, words):
    parsed = parse_file("n.yaml", notifier(base=base, **spec))
    told = [str(each) for each in parsed.diagnostics]
    assert (code, True) in [(each.code, words in str(each)) for each in parsed.diagnostics], told
    assert not any("example.com" in each for each in told)
    assert parsed.resources == ()


def test_http_is_taken_where_the_document_allows_it():
    written = notifier(base=WEBHOOK, url="http://example.com/hook", allowHttp=True, secret={"file": "key"})
    assert parse_file("n.yaml", written).diagnostics == ()


def test_a_notifier_hears_of_its_subtree_and_no_label_below_hides_a_space():
    files = {
        "s.yaml": many(
            labelled("top", {"env": "prod"}),
            labelled("deep", {"env": "test"}, "top"),
            labelled("other", {"env": "test"}),
        ),
        "n.yaml": many(
            notifier("everything"),
            notifier("prod", spaces={"matchLabels": {"env": "prod"}}, events=["run.failed", "halted"]),
            notifier("of-top", "top", events=["run.waiting", "run.failed"]),
            notifier("of-deep", "deep"),
            notifier("other-event", events=["run.waiting"]),
        ),
    }
    documents = begin(files).in_force.documents

    def heard(space, event=NotifierEvent.RUN_FAILED):
        return [placed.ref.name for placed in notifiers(documents, SpaceName(space), event)]

    assert heard("deep") == ["everything", "prod", "of-top", "of-deep"]
    assert heard("top") == ["everything", "prod", "of-top"]
    assert heard("other") == heard("root") == ["everything"]
    assert heard("root", NotifierEvent.HALTED) == ["prod"], "a halt is about no space"
    assert heard("deep", NotifierEvent.RUN_WAITING) == ["other-event", "of-top"]
