"""`station seal` from the outside: with the data directory, against a service, and with nothing but the public key."""

from __future__ import annotations

import pytest

from tests.e2e.station import Repo, Result, Station, a_script

VALUE = "hunter2-hunter2"


def seal(station: Station, *options: str, value: str = VALUE + "\n", fresh: bool = False, **env: str) -> Result:
    place = ["--space", "root", "--kind", "Stack", "--name", "a", "--key", "TOKEN", *options]
    done = station("seal", *place, stdin=value.encode(), fresh=fresh, **env)
    assert VALUE not in done.out + done.err
    return done


def test_what_is_sealed_reaches_the_run(repo: Repo, station: Station) -> None:
    repo.commit({"b.yaml": a_script("b", "echo b")})
    station.reconcile()
    local = seal(station, fresh=True)
    with station.serving() as server:
        asked = server.api("/sealing")
        over_http = seal(station, STATION_URL=server.url)
    alone = seal(station, "--recipient", asked["recipient"], STATION_DATA_DIR="/nonexistent")
    for number, done in enumerate((local, over_http, alone)):
        assert (done.code, done.err, done.out.count("\n")) == (0, "", 1)
        script = a_script("a", f'test "$TOKEN" = {VALUE} && echo {number}', env={"TOKEN": {"sealed": done.out.strip()}})
        repo.commit({"a.yaml": script})
        assert station("validate", str(repo.path)).code == 0
        assert station.reconcile().ran == {"root/a": "finished"}


@pytest.mark.parametrize(
    ("options", "value", "words"),
    [
        pytest.param((), "short12\n", "use at least 8 characters", id="too short"),
        pytest.param((), "nul\0-in-the-middle", "contains a NUL", id="nul"),
        pytest.param(("--name", "No Name"), VALUE, "--name No Name: a name has lower-case letters", id="name"),
        pytest.param(("--key", " "), VALUE, "--key: write a variable's name", id="key"),
        pytest.param(("--recipient", "age1nobody"), VALUE, "is not an age recipient", id="recipient"),
        pytest.param(("--url", "http://127.0.0.1:1"), VALUE, "cannot be reached", id="no service"),
        pytest.param((), VALUE, "there is no data directory", id="no data directory"),
    ],
)
def test_what_cannot_be_sealed_is_told_in_a_line(
    station: Station, options: tuple[str, ...], value: str, words: str
) -> None:
    done = seal(station, *options, value=value)
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert done.err.count("\n") == 1
