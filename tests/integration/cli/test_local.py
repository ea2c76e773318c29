"""Commands that need no service, and what all commands have in common."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.commands import COMMANDS
from tests.integration.cli.conftest import Station

HEAVY = ("fastapi", "httpx", "sqlalchemy", "pygit2", "pydantic", "rich", "uvicorn", "prometheus_client", "ruamel")

GOOD = "apiVersion: stationkeeper/v1\nkind: Stack\nmetadata: {name: a}\nspec: {tool: script, script: {apply: x}}\n"
BAD = GOOD.replace("apply: x", "apply: x, aply: y")


def imported(*arguments: str) -> set[str]:
    program = (
        "import sys; from reconciler.cli.main import main; code = main(sys.argv[1:])\n"
        f"print('\\n', *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["stacks", "--help"], ["stack", "--help"], ["run"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert imported(*arguments) == set()


def test_validating_imports_only_the_rules(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    assert imported("validate", str(tmp_path)) <= {"pydantic", "ruamel"}


def test_help_as_a_real_process() -> None:
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", "--help"], capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert all(name in done.stdout for name in COMMANDS)
    # Seconds of a processor, and well above the aim: the machine may be busy. The benchmarks hold the aim itself.
    assert min(took) < 0.5


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(station: Station, name: str) -> None:
    result = station(name, "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: station {name}")


@pytest.mark.parametrize("arguments", [[], ["stack"], ["run"]])
def test_a_group_alone_shows_its_help(station: Station, arguments: list[str]) -> None:
    result = station(*arguments)
    assert result.code == 0
    assert "Commands:" in result.out


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["nonsense"], id="unknown command"),
        pytest.param(["stack", "nonsense"], id="unknown command of a group"),
        pytest.param(["stacks", "--nonsense"], id="unknown option"),
        pytest.param(["stacks", "-o", "xml"], id="unknown format"),
        pytest.param(["stack", "get"], id="missing argument"),
        pytest.param(["stacks", "-l", "tier"], id="label without ="),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_1(station: Station, arguments: list[str]) -> None:
    result = station(*arguments)
    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert result.err.startswith("error: ")


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"{number}.yaml").write_text(BAD)
    command = f"{sys.executable} -m reconciler validate {tmp_path} | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


class TestValidate:
    def test_good(self, station: Station, elsewhere: Path) -> None:
        (elsewhere / "a.yaml").write_text(GOOD)
        result = station("validate")
        assert (result.code, result.out) == (0, "")
        assert station("validate", "-o", "json").out == '{\n  "diagnostics": []\n}\n'

    @pytest.mark.parametrize("files", [{}, {"values.yaml": "a: 1\n"}], ids=["empty", "nothing of ours"])
    def test_a_directory_without_a_document(self, station: Station, elsewhere: Path, files: dict[str, str]) -> None:
        for name, text in files.items():
            (elsewhere / name).write_text(text)
        result = station("validate")
        assert (result.code, result.out) == (0, "")
        assert result.err.startswith("there are no Stationkeeper documents in . (")
        assert "station init DIR" in result.err

    def test_lines_that_editors_jump_to(self, station: Station, elsewhere: Path) -> None:
        (elsewhere / "sub" / "deep").mkdir(parents=True)
        (elsewhere / "sub" / "deep" / "a.yml").write_text(BAD)
        result = station("validate", "sub")
        assert result.code == 1
        (line,) = result.out.splitlines()
        assert line.startswith("sub/deep/a.yml:4:41: error: ")
        assert line.endswith("[unknown-key]")
        assert "did you mean apply?" in line
        assert result.err == "error: 1 error in sub\n"

    def test_json(self, station: Station, elsewhere: Path) -> None:
        (elsewhere / "a.yaml").write_text(BAD)
        result = station("validate", elsewhere, "-o", "json")
        assert result.code == 1
        (diagnostic,) = json.loads(result.out)["diagnostics"]
        assert set(diagnostic) == {"severity", "code", "summary", "hint", "file", "line", "column"}
        assert (diagnostic["file"], diagnostic["line"], diagnostic["column"]) == ("a.yaml", 4, 41)

    def test_one_file(self, station: Station, elsewhere: Path) -> None:
        (elsewhere / "a.yaml").write_text(BAD)
        (elsewhere / "b.yaml").write_text(BAD.replace("name: a", "name: b"))
        assert len(station("validate", "a.yaml").out.splitlines()) == 1

    def test_what_is_not_ours_is_left_alone(self, station: Station, elsewhere: Path, tmp_path: Path) -> None:
        (elsewhere / "values.yaml").write_text("{{ not yaml")
        (elsewhere / "a.json").write_text(BAD)
        (elsewhere / ".git").mkdir()
        (elsewhere / ".git" / "a.yaml").write_text(BAD)
        (tmp_path / "outside.yaml").write_text(BAD)
        (elsewhere / "link.yaml").symlink_to(tmp_path / "outside.yaml")
        (elsewhere / "up").symlink_to(tmp_path)
        assert station("validate").code == 0

    def test_a_directory_that_is_not_there(self, station: Station) -> None:
        result = station("validate", "nowhere")
        assert (result.code, result.err) == (1, "error: there is no file or directory nowhere\n")


class TestSchema:
    def test_all_and_one(self, station: Station) -> None:
        assert "oneOf" in json.loads(station("schema").out)
        assert json.loads(station("schema", "Stack").out)["title"] == "Stack"

    def test_unknown(self, station: Station) -> None:
        result = station("schema", "Stak")
        assert result.code == 1
        assert "Stack" in result.err

    def test_write(self, station: Station, elsewhere: Path) -> None:
        assert station("schema", "--write", "schemas").code == 0
        names = {file.name for file in (elsewhere / "schemas").iterdir()}
        assert {"stationkeeper.schema.json", "stack.schema.json", "space.schema.json"} <= names
