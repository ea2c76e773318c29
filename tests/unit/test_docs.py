"""What exists is named in the docs, and what the docs name exists."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from reconciler.cli.commands import COMMANDS
from reconciler.cli.main import station
from reconciler.core.reasons import RETRYABLE, Reason
from reconciler.core.runs import RunStatus
from reconciler.gauges import Gauges
from reconciler.git.errors import GitReason
from reconciler.metrics import Metrics
from reconciler.refusals import Refusal
from reconciler.runner.contract.job import EndReason as RunnerReason
from reconciler.settings import Settings
from spaces.model.kinds import SPECS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def _generator():
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_up_to_date():
    """`python docs/generate.py` writes them anew."""
    generated = _generator().pages()
    assert len(generated) > 10
    assert [path.name for path, text in generated.items() if path.read_text() != text] == []


def _coded(page):
    """Give every word that the page sets as code."""
    return set(re.findall(r"`([^`\n]+)`", (DOCS / page).read_text()))


def test_settings_are_documented():
    assert set(Settings.model_fields) - _coded("settings.md") == set()


def _metrics():
    metrics = Metrics()
    metrics.show(Gauges)
    return sorted(family.name for family in metrics.registry.collect())


def test_metrics_are_documented():
    coded = _coded("metrics.md")
    assert [name for name in _metrics() if not {name, f"{name}_total"} & coded] == []


def test_reasons_are_documented():
    assert {*Reason, *RunnerReason, *GitReason, *Refusal} - _coded("reasons.md") == set()


@pytest.mark.parametrize("word", sorted(RETRYABLE))
def test_what_is_tried_again_is_said_to_be(word):
    (row,) = (line for line in (DOCS / "reasons.md").read_text().splitlines() if f"`{word}`" in line)
    assert row.endswith("| yes |")


def test_no_page_names_a_reason_that_does_not_exist():
    table = re.findall(r"^\| ((?:`[A-Za-z]+`(?:, )?)+) \|", (DOCS / "reasons.md").read_text(), re.MULTILINE)
    named = {word for cell in table for word in re.findall(r"`(\w+)`", cell)}
    assert named <= {*Reason, *RunnerReason, *GitReason, *Refusal}


def _commands(path, command):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _commands((*path, name), command.get_command(context, name))
    else:
        yield path


def test_commands_are_documented():
    headings = re.findall(r"^### `station ([^`]+)`", (DOCS / "commands.md").read_text(), re.MULTILINE)
    paths = [" ".join(path) for path in _commands((), station)]
    assert [path for path in paths if not any(f"{heading} ".startswith(f"{path} ") for heading in headings)] == []


@pytest.mark.parametrize("kind", SPECS)
def test_kinds_are_documented(kind):
    page = (DOCS / "kinds" / f"{kind.lower()}.md").read_text()
    assert page.startswith(f"# {kind}\n")
    assert f"kinds/{kind.lower()}.md" in (ROOT / "README.md").read_text()


def _holds_files(directory):
    return any(path.is_file() and path.suffix != ".pyc" for path in directory.iterdir())


def _folders():
    for top in ("spaces", "rbac", "reconciler"):
        for path in (ROOT / top).rglob("*"):
            if path.is_dir() and "__pycache__" not in path.parts and "template" not in path.parent.parts:
                yield path
    for path in (*(ROOT / "tests").iterdir(), *(ROOT / "docs").iterdir(), ROOT / "bench", ROOT / "deploy"):
        if path.is_dir() and path.name != "__pycache__" and any(path.rglob("*.*")):
            yield path


def test_folders_are_in_the_architecture():
    assert {f"{path.relative_to(ROOT)}/" for path in _folders()} - _coded("architecture.md") == set()


def test_the_architecture_names_no_folder_that_does_not_exist():
    named = {word for word in _coded("architecture.md") if re.fullmatch(r"[\w/]+/", word)}
    assert [name for name in sorted(named) if not (ROOT / name).is_dir()] == []


def _is_there(path, name):
    """Whether a module has a function, a class, or a method of one."""
    found = next((each for each in (ROOT / path, ROOT / "reconciler" / path) if each.exists()), None)
    nodes = [ast.parse(found.read_text())] if found is not None else []
    for part in name.split("."):
        nodes = [each for node in nodes for each in node.body if getattr(each, "name", None) == part]
    return bool(nodes)


def test_the_way_of_a_commit_goes_through_what_exists():
    named = re.findall(r"`([\w/]+\.py):([\w.]+)`", (DOCS / "architecture.md").read_text())
    assert len(named) > 20
    assert [f"{path}:{name}" for path, name in named if not _is_there(path, name)] == []


def _leads_somewhere(page, target):
    path, _, anchor = target.partition("#")
    found = page.parent / path if path else page
    if not found.exists() or not anchor:
        return found.exists()
    headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = [it for it in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in it]
    assert [target for target in targets if not _leads_somewhere(page, target)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_are_whole(page):
    """A blank line would split a table, and a row with another number of cells would lose some."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = table.splitlines()
        assert len(rows) > 1, rows
        assert re.fullmatch(r"\|(?: ?:?-+:? ?\|)+", rows[1]), rows[1]
        assert {len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) for row in rows} == {rows[1].count("|")}, (
            rows
        )


def _typed():
    """Find the `station` commands in blocks of code."""
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("station "):
                    yield pytest.param(line, id=f"{page.name} {line[:60].strip()}")


@pytest.mark.parametrize("line", list(_typed()))
def test_commands_can_be_typed(line, tmp_path, monkeypatch):
    """Each names a command that exists, with options that it takes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    words = shlex.split(line, comments=True)[1:]
    command, context = station, click.Context(station, info_name="station")
    while isinstance(command, click.Group):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, name
    with command.make_context("station", words, parent=context):
        pass


def test_every_dependency_has_its_reason():
    page = (DOCS / "decisions" / "0001-dependencies.md").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    for block in re.findall(r"^(?:dependencies|ansible|test|check) = \[(.*?)\]$", project, re.MULTILINE | re.DOTALL):
        for name in re.findall(r'"([A-Za-z0-9.-]+)', block):
            assert name == "stationkeeper" or f"`{name}`" in page, name


def test_the_filter_for_runs_knows_every_status():
    text = (DOCS / "commands.md").read_text()
    assert [status for status in RunStatus if status not in text] == []


def test_the_table_of_commands_in_the_readme_is_complete():
    readme = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if not re.search(rf"`(station )?{name}\b", readme)] == []
