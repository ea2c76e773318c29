import base64

import pytest

from reconciler.tools.veil import MASK, Secrets, veiled

SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(SECRET, MASK, id="as a whole"),
        pytest.param(f"postgres://me:{SECRET}@db", "postgres://me:***@db", id="inside of another"),
        pytest.param(base64.b64encode(f"x={SECRET}\n".encode()).decode(), "eD1***IK", id="in base64"),
        pytest.param({"a": [SECRET, "b"]}, {"a": [MASK, "b"]}, id="below"),
        pytest.param("four is not", "four is not", id="a short one is only hidden where it stands alone"),
        pytest.param("four", MASK, id="a short one alone"),
        pytest.param(12, 12, id="a number"),
    ],
)
def test_copies_of_what_a_tool_marks_are_hidden(value, shown):
    assert veiled(value, None, Secrets([SECRET, "four"])) == shown
