import pytest

from spaces.effective.stack import RepositoryFile, effective
from spaces.reading.attachments import MAX_BYTES, out_of
from tests.unit.spaces.builders import begin, context, go_on, ref, stack, stack_id

PEM = {"ca.pem": {"source": "./certs/ca.pem"}}
FILES = {
    "team/c.yaml": context("trust", files=PEM),
    "team/s.yaml": stack("s", "trust"),
    "team/certs/ca.pem": b"first\n",
}


def at(files, before=None, changed=None, revision="r0"):
    """Admit a revision as the service does: only what changed is read, and what refers to it."""
    attach = out_of(files)
    if before is None:
        return begin(files, revision, attach=attach)
    paths = {*before.tree.attaching(changed), *changed, *(path for path in before.held.files if path in changed)}
    return go_on(before, {path: files.get(path) for path in paths}, revision, attach=attach)


def mounted(in_force):
    return effective(in_force.documents, stack_id("root/s")).files["ca.pem"].value


def test_a_file_of_the_repository_is_part_of_the_document_that_mounts_it():
    before = at(FILES)
    assert before.diagnostics == ()
    assert mounted(before) == RepositoryFile("team/certs/ca.pem", b"first\n")
    files = FILES | {"team/certs/ca.pem": b"second\n"}
    after = at(files, before, ["team/certs/ca.pem"], "r1")
    assert mounted(after).data == b"second\n"
    placed = [in_force.documents.placed(ref("Context root/trust")) for in_force in (before, after)]
    assert not placed[0].same(placed[1])


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        pytest.param({"team/certs/ca.pem": None}, "file-not-found", "does not exist", id="gone"),
        pytest.param(
            {"team/certs/ca.pem": b"x" * (MAX_BYTES + 1)}, "file-too-large", "is larger than 2 MiB", id="too large"
        ),
        pytest.param(
            {"team/c.yaml": context("trust", files={"ca.pem": {"source": "other.pem"}})},
            "file-not-found",
            "other.pem does not exist",
            id="never there",
        ),
        pytest.param(
            {"team/c.yaml": context("trust", files={"ca.pem": {"source": "../ca.pem"}})},
            "invalid-path",
            "spec.files.ca.pem.source is not a relative path",
            id="outside",
        ),
    ],
)
def test_what_cannot_be_read_leaves_the_last_version_in_force(change, code, words):
    before = at(FILES)
    files = {path: data for path, data in (FILES | change).items() if data is not None}
    after = at(files, before, list(change), "r1")
    assert [d.code for d in after.diagnostics] == [code]
    assert words in after.diagnostics[0].summary
    assert after.diagnostics[0].position.file == "team/c.yaml"
    assert mounted(after).data == b"first\n"
    mended = at(FILES, after, list(change), "r2")
    assert mended.diagnostics == ()
    assert mounted(mended).data == b"first\n"


def test_who_refers_to_what_is_followed():
    before = at(FILES)
    assert before.tree.attaching(["team/certs/ca.pem", "team/s.yaml"]) == {"team/c.yaml"}
    without = go_on(before, {"team/c.yaml": context("trust")}, attach=out_of(FILES))
    assert without.tree.attached == {}
