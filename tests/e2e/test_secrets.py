"""Looks for secrets as an attacker would: in everything that is stored, shown or can be seen of the service."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.station import Repo, Server, Station, a_script, a_terraform, eventually
from tests.e2e.test_seal import seal

TOKEN = 'tok/en+with "quotes" & <signs>'
PLAIN = "plain-secret-7f3a9c"
KEY = "-----BEGIN KEY-----\n" + "\n".join(base64.b64encode(bytes([n] * 48)).decode() for n in (201, 87, 33)) + "\n"
SEALED = "sealed-secret-55aa"
SECRETS = {"token": TOKEN, "plain": PLAIN, "key": KEY}


def marks() -> Iterator[bytes]:
    """Give what must not be found anywhere: the forms, and pieces of them that are long enough to be no chance."""
    for value in (TOKEN, PLAIN, SEALED, *(line for line in KEY.splitlines() if "BEGIN" not in line)):
        yield value.encode()
        yield json.dumps(value)[1:-1].encode()
        yield urllib.parse.quote(value, safe="").encode()
        for before in range(3):
            text = base64.b64encode(b"\0" * before + value.encode())
            yield text[-(-before * 8 // 6) : (before + len(value.encode())) * 8 // 6]


MARKS = sorted(set(marks()))
ACTIVE = {"queued", "planning", "unconfirmed", "applying"}

ECHO = r"""
set -e
printf '%s\n' "$TOKEN" "$PLAIN" "$SEALED"
printf '%s' "$TOKEN" | base64 -w0; echo
printf 'x%s' "$TOKEN" | base64; printf 'xx%sy' "$PLAIN" | base64
base64 key; { echo some words before; cat key; } | base64 | sed 's/^/    /'
cat key; sed 's/^/  > /' key
python3 - <<'END'
import json, os, sys, urllib.parse
token, plain = os.environ["TOKEN"], os.environ["PLAIN"]
print(json.dumps({"token": token, "key": open("key").read()}), urllib.parse.quote(token, safe=""))
print(urllib.parse.quote_plus(token), json.dumps(json.dumps(token)), repr(open("key").read()))
for character in plain + " " + token:
    sys.stdout.write(character); sys.stdout.flush()
END
touch "$PLAIN"; ls
cp no-such-"$PLAIN" elsewhere || true
"""
SCRIPT = (
    ECHO + 'printf \'{"note": "the token is %s", "safe": "yes", "\'"$PLAIN"\'": 1}\' "$PLAIN" > "$STATION_OUTPUTS"\n'
)

TERRAFORM = """
    terraform {
      backend "local" {
        path = "its.tfstate"
      }
    }
    variable "plain" {
      type = string
    }
    variable "hidden" {
      type      = string
      sensitive = true
    }
    resource "terraform_data" "it" {
      input = { raw = var.plain, coded = base64encode("user:${var.plain}"), hidden = var.hidden, "${var.plain}" = "as a key" }
    }
    output "hidden" {
      value     = "with ${var.hidden}"
      sensitive = true
    }
    output "plain" {
      value = "x${var.plain}"
    }
"""


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets" / "root"
    directory.mkdir(parents=True)
    for name, value in SECRETS.items():
        (directory / name).write_text(value)
        (directory / name).chmod(0o600)
    return directory.parent


def found_in(data: bytes) -> list[bytes]:
    packed = b"".join(data.split())
    return [mark for mark in MARKS if mark in data or (len(mark) > 12 and b"".join(mark.split()) in packed)]


def leaks(station: Station, server: Server | None = None) -> dict[str, list[bytes]]:
    """Look through the data directory, the logs of the service, and all that its API gives."""
    looked = {
        str(path.relative_to(station.folder)): path.read_bytes() for path in station.folder.rglob("*") if path.is_file()
    }
    if server is not None:
        paths = ["/stacks", "/runs", "/status", "/audit", "/held"]
        paths += [
            f"/stacks/{stack['id']}" + below
            for stack in server.stacks()
            for below in ("", "/resources", "/outputs", "/effective", "/runs")
        ]
        paths += [f"/runs/{run['id']}" + below for run in server.runs() for below in ("", "/plan", "/log")]
        for path in paths:
            looked[path] = _answer(server, path)
        looked["/metrics"] = _answer(server, "/metrics")
    return {name: hits for name, data in looked.items() if (hits := found_in(data))}


def _answer(server: Server, path: str) -> bytes:
    request = urllib.request.Request(server.url + ("" if path == "/metrics" else "/api/v1") + path)
    request.add_header("Authorization", "Bearer " + (server.station.data_dir / "token").read_text().strip())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.read()


@pytest.fixture
def station(repo: Repo, new_station: Callable[..., Station], secrets: Path) -> Station:
    station = new_station(repo.url, secrets_dir=secrets, env_allowed="STATION_MY_PLAIN", my_plain=PLAIN)
    repo.commit({"README.md": "nothing"})
    station.reconcile()
    return station


@pytest.mark.usefixtures("terraform")
def test_nothing_of_a_secret_is_kept_or_shown(
    repo: Repo, station: Station, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = tmp_path_factory.mktemp("tfstate") / "its.tfstate"
    env = {"TOKEN": {"file": "token"}, "PLAIN": {"env": "STATION_MY_PLAIN"}}
    shared = {"files": {"key": {"file": "key"}}}
    echo = {**env, "SEALED": {"sealed": sealed_for(station, "echo")}}
    hooked = {**env, "SEALED": {"sealed": sealed_for(station, "hooked")}}
    hooks = {"before": {"plan": [ECHO]}, "after": {"run": ["echo $PLAIN; exit 3"]}}
    variables = {"TF_VAR_plain": {"env": "STATION_MY_PLAIN"}, "TF_VAR_hidden": {"file": "token"}}
    after = {"after": {"apply": ["terraform output -json; terraform show -json"]}}
    bad = 'echo "{\\"x\\": $PLAIN" > "$STATION_OUTPUTS"'
    repo.commit(
        {
            "echo.yaml": a_script("echo", SCRIPT, plan=ECHO + "exit 2", env=echo, **shared),
            "fails.yaml": a_script("fails", 'echo "$PLAIN" >&2; exec no-such-command-"$PLAIN"', env=env, **shared),
            "killed.yaml": a_script("killed", 'printf "half: %s" "$PLAIN"; kill -9 $$', env=env, **shared),
            "bad.yaml": a_script("bad", bad, env=env, **shared),
            "hooked.yaml": a_script("hooked", "true", env=hooked, hooks=hooks, **shared),
            "tf.yaml": a_terraform("tf", "tf", env=variables, hooks=after),
            "tf/main.tf": TERRAFORM.replace("its.tfstate", str(own)),
        }
    )
    with station.serving() as server:
        eventually(lambda: sum(run["status"] not in ACTIVE for run in server.runs()) == 6, 60)
        assert {run["stack"]: run["status"] for run in server.runs()} == {
            "root/echo": "finished",
            "root/fails": "failed",
            "root/killed": "interrupted",
            "root/bad": "failed",
            "root/hooked": "finished",
            "root/tf": "finished",
        }
        assert leaks(station, server) == {}
        outputs = {row["name"]: row for row in server.api("/stacks/root/tf/outputs")["items"]}
        assert (outputs["plain"]["sensitive"], outputs["hidden"]["sensitive"]) == (True, True)
        last = server.api("/stacks/root/tf")["lastRun"]["id"]
        assert '"value": "***"' in server.api(f"/runs/{last}/log")["text"], "the hook has printed the outputs"


def test_while_a_run_is_at_work_only_its_own_commands_see_its_secrets(
    repo: Repo, station: Station, tmp_path: Path
) -> None:
    wait = f"for i in $(seq 1200); do test -e {tmp_path}/end && break; sleep 0.05; done"
    script = f'echo "$TOKEN"; touch {tmp_path}/begun; {wait}'
    env = {"TOKEN": {"file": "token"}, "SEALED": {"sealed": sealed_for(station, "a")}}
    repo.commit({"a.yaml": a_script("a", script, env=env)})
    del station.settings["my_plain"]
    with station.serving(fresh=True) as server:
        eventually((tmp_path / "begun").exists)
        for pid in station.mine():
            try:
                arguments, environ = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
            except OSError:
                continue
            assert found_in(arguments) == []
            assert b"STATION_RUN=" in environ or found_in(environ) == []
        assert leaks(station, server) == {}
        (tmp_path / "end").touch()
        eventually(lambda: server.all_synced(1))
        assert leaks(station, server) == {}


def sealed_for(station: Station, name: str) -> str:
    done = seal(station, "--name", name, "--key", "SEALED", value=SEALED)
    assert done.code == 0, done.err
    return done.out.strip()
