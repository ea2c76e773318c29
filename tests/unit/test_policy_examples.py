"""Every example policy says of its recorded inputs what they expect, and is a document that comes into force."""

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.main import main
from reconciler.policies.checking import check_rego
from spaces.validate import examine_files

ROOT = Path(__file__).parents[2]
POLICIES = sorted((ROOT / "examples" / "policies").glob("*.yaml"))


def _inputs(policy):
    return sorted((policy.parent / "inputs").glob(f"{policy.stem}.*.json"))


def _asked(policy):
    asked = [word for path in _inputs(policy) for word in ("--input", str(path))]
    assert asked
    return ["policy", "test", str(policy), *asked]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.stem)
def test_it_says_what_is_expected(policy, capsys):
    code = main(_asked(policy))
    out, err = capsys.readouterr()
    assert (code, err) == (0, ""), out


def test_the_command_says_so_in_a_process_of_its_own():
    command = [sys.executable, "-m", "reconciler", *_asked(POLICIES[0])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_they_come_into_force_together():
    files = {path.name: path.read_bytes() for path in POLICIES}
    in_force = examine_files(files, check=check_rego)
    assert in_force.diagnostics == ()
    assert {ref.name for ref in in_force.documents.refs()} == {path.stem for path in POLICIES}


def test_the_readme_lists_them():
    readme = (ROOT / "examples" / "policies" / "README.md").read_text()
    assert all(f"`{path.stem}`" in readme for path in POLICIES)


def test_every_input_belongs_to_a_policy():
    inputs = set((ROOT / "examples" / "policies" / "inputs").iterdir())
    assert inputs == {path for policy in POLICIES for path in _inputs(policy)}
