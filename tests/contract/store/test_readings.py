"""What files were read to hold is remembered, and nothing comes of it but speed."""

import sqlite3

import pytest

import reconciler.store.readings as module
from reconciler.store.readings import Readings
from spaces.model.policy import PolicyType
from spaces.reading.documents import parse_documents
from spaces.reading.rego import RegoFinding, RegoText

HEAD = "apiVersion: stationkeeper/v1\nkind: Context\nmetadata: {name: a}\n"
GOOD = {
    "one document": HEAD,
    "several": f"{HEAD}---\n{HEAD}",
    "between those of others": f"---\na: 1\n---\n{HEAD}---\nb: [2]\n",
    "every scalar": f"{HEAD}spec: {{a: ~, b: true, c: 1, d: 1.5, f: -0.0, g: 0x1f, h: 9007199254740993, i: ''}}\n",
    "text of all sorts": f'{HEAD}spec: {{a: "ä \\U0001F600 \\0 \\n", b: "1", c: "true"}}\n',
    "aliases": f"{HEAD}spec: {{a: &x [1, {{b: 2}}], c: *x}}\n",
    "what only the careful way reads": f"{HEAD}spec: {{url: http://x, at: [12:30:45]}}\n",
}
FAULTY = {
    "no YAML": "apiVersion: stationkeeper/v1\nkind: [\n",
    "one of two": f"{HEAD}---\napiVersion: stationkeeper/v1\na: 1\na: 2\n",
    "another version": "apiVersion: stationkeeper/v9\nkind: Context\n",
    "no version": f"{HEAD}---\nkind: Context\nmetadata: {{name: b}}\n",
    "somebody else's": "a: 1\n",
    "nothing": "",
}


def batch(texts):
    return [(f"{name}.yaml", text.encode()) for name, text in texts.items()]


def plainly(files):
    return [parse_documents(file, data) for file, data in files]


def again(path, files):
    readings = Readings(path)
    try:
        return readings.read(files)
    finally:
        readings.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "readings.db"


@pytest.fixture
def unreadable(monkeypatch):
    """From here on, nothing can be parsed: what is known all the same was remembered."""

    def switch():
        def fail(file, data):
            raise AssertionError(f"{file} is read again")

        monkeypatch.setattr(module, "parse_documents", fail)

    return switch


@pytest.mark.parametrize("texts", [GOOD, FAULTY, {**GOOD, **FAULTY}], ids=["good", "faulty", "both"])
def test_what_is_remembered_is_what_would_be_read(path, texts):
    files = batch(texts)
    for _ in range(3):
        # By their representation: 1, 1.0 and true are equal in Python.
        assert repr(again(path, files)) == repr(plainly(files))


def test_a_file_without_fault_is_read_once(path, unreadable):
    files = batch(GOOD)
    expected = again(path, files)
    unreadable()
    moved = [(f"elsewhere/{file}", data) for file, data in files]
    assert again(path, files) == again(path, moved) == expected


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_file_is_not_remembered(path, name):
    again(path, batch({name: FAULTY[name]}))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM readings").fetchone() == (0,)
    connection.close()


def test_more_files_than_a_batch(path, unreadable):
    files = [(f"{number}.yaml", f"{HEAD}spec: {{env: {{A: '{number}'}}}}\n".encode()) for number in range(1000)]
    expected = again(path, files)
    unreadable()
    assert again(path, files) == expected


def test_another_reader_does_not_believe_it(path, monkeypatch):
    files = batch(GOOD)
    again(path, files)
    monkeypatch.setattr(module, "version", lambda library: "another")
    monkeypatch.setattr(module, "parse_documents", lambda file, data: "read again")
    with pytest.raises(AttributeError):
        again(path, files)


def test_a_value_that_lost_bits_is_read_again(path):
    files = batch({"a": f"{HEAD}spec: {{env: {{A: old}}}}\n"})
    again(path, files)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE readings SET value = CAST(replace(CAST(value AS TEXT), 'old', 'new') AS BLOB)")
    connection.close()
    assert again(path, files) == plainly(files)


@pytest.mark.parametrize("damage", [b"no database at all" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_begins_anew(path, damage, unreadable):
    path.write_bytes(damage)
    files = batch(GOOD)
    assert again(path, files) == plainly(files)
    unreadable()
    again(path, files)


def test_a_page_damaged_in_the_middle(path):
    files = [(f"{number}.yaml", f"{HEAD}spec: {{env: {{A: '{number}'}}}}\n".encode()) for number in range(500)]
    again(path, files)
    data = bytearray(path.read_bytes())
    data[4096 * 3 : -4096] = b"\xa5" * (len(data) - 4096 * 4)
    path.write_bytes(data)
    assert again(path, files) == again(path, files) == plainly(files)


def test_one_that_grew_too_large_begins_anew(path, monkeypatch):
    again(path, batch(GOOD))
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    again(path, [])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM readings").fetchone() == (0,)
    connection.close()


def test_where_nothing_can_be_written_files_are_read_as_ever(tmp_path):
    files = batch(GOOD)
    assert again(tmp_path / "not" / "there" / "readings.db", files) == plainly(files)


def test_two_processes_may_use_it_at_once(path):
    files = batch(GOOD)
    one, other = Readings(path), Readings(path)
    assert one.read(files) == other.read(files) == plainly(files)
    one.close()
    other.close()
    assert again(path, files) == plainly(files)


def test_it_goes_on_without_its_file_once_closed(path):
    readings = Readings(path)
    readings.close()
    assert readings.read(batch(GOOD)) == plainly(batch(GOOD))


class Engine:
    """Stands for the engine that reads rules: finds the word "wrong" wrong, and is too late for the word "slow"."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += [text.text for text in texts]
        return {text: (WRONG,) if text.text == "wrong" else () for text in texts if text.text != "slow"}


WRONG = RegoFinding("rego-syntax", "is wrong", 1, 1)
RULES = [RegoText(PolicyType.PLAN, word) for word in ("right", "wrong", "slow", "half \ud800")]


def ask_again(path, name=b"engine", rules=RULES):
    engine, readings = Engine(), Readings(path)
    try:
        return readings.checking(engine, name)(rules), engine.asked
    finally:
        readings.close()


def test_only_rules_in_order_are_not_looked_at_twice(path):
    found, asked = ask_again(path)
    assert asked == ["right", "wrong", "slow", "half \ud800"]
    assert found[RULES[1]] == (WRONG,)

    found, asked = ask_again(path)
    assert asked == ["wrong", "slow"]
    assert found == {RULES[1]: (WRONG,)}


def test_another_engine_and_another_type_are_asked_again(path):
    ask_again(path)
    assert ask_again(path, name=b"another")[1] == ["right", "wrong", "slow", "half \ud800"]
    assert ask_again(path, rules=[RegoText(PolicyType.PUSH, "right")])[1] == ["right"]


def test_a_rule_that_a_disk_changed_is_looked_at_again(path):
    ask_again(path, rules=RULES[:1])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE readings SET value = x'00'")
    assert ask_again(path, rules=RULES[:1])[1] == ["right"]
