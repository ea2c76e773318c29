"""`station init` makes a repository that the service can follow as it is."""

import json

import pygit2
import pytest

from spaces.reading.json_schema import json_schemas


def test_what_it_makes_is_right(station, elsewhere):
    made = station("init", "config")
    assert made.code == 0
    assert f"station reconcile --config-url file://{elsewhere}/config" in made.out
    checked = station("validate", "config")
    assert (checked.code, checked.out) == (0, "")


def test_everything_is_in_the_first_commit_on_main(station, elsewhere):
    station("init", "config")
    repository = pygit2.Repository(str(elsewhere / "config"))
    assert repository.head.name == "refs/heads/main"
    assert not repository[repository.head.target].parents
    assert repository.status() == {}
    assert ".gitignore" in repository[repository.head.target].tree


def test_it_brings_the_schemas_that_its_documents_name(station, elsewhere):
    station("init", "config")
    directory = elsewhere / "config"
    found = {path.name: json.loads(path.read_text()) for path in (directory / ".stationkeeper/schemas").iterdir()}
    assert found == json_schemas()
    for document in directory.glob("*/*.yaml"):
        schema = document.read_text().splitlines()[0].partition("$schema=")[2]
        assert (document.parent / schema).is_file()


def test_the_space_is_named_as_asked(station, elsewhere):
    assert station("init", "config", "--space", "team-a").code == 0
    assert (elsewhere / "config" / "team-a" / "space.yaml").is_file()
    assert "@SPACE@" not in "".join(p.read_text() for p in (elsewhere / "config").rglob("*.*") if p.is_file())
    assert station("validate", "config").code == 0


def test_an_empty_directory_will_do(station, elsewhere):
    (elsewhere / "config").mkdir()
    assert station("init", "config").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["full"], "full is not empty", id="not empty"),
        pytest.param(["file"], "file is a file", id="a file"),
        pytest.param(["file/below"], "file/below", id="below a file"),
        pytest.param(["new", "--space", "root"], "root cannot be a space's name", id="root"),
        pytest.param(["new", "--space", "../up"], "../up cannot be a space's name", id="not a name"),
    ],
)
def test_what_is_refused(station, elsewhere, arguments, message):
    (elsewhere / "full").mkdir()
    (elsewhere / "full" / "kept").write_text("as it was")
    (elsewhere / "file").write_text("as it was")
    refused = station("init", *arguments)
    assert refused.code == 1
    assert refused.err.startswith(f"error: {message}")
    assert [path.name for path in (elsewhere / "full").iterdir()] == ["kept"]
    assert not (elsewhere / "new").exists()
