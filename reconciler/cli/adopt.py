"""`station drift adopt`: what to change in Git to match the real world, and a branch with the changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import options
from reconciler.cli.client import Api, connect
from reconciler.cli.completing import stack_argument
from reconciler.cli.errors import CliError
from reconciler.cli.output import Column, key, print_rows, short_json

if TYPE_CHECKING:
    from reconciler.adopting.finding import Adoption, Clone
    from reconciler.git.trees import Trees
    from spaces.names import Revision, StackId

_LEFT = 2
"""The exit code where a person has something left to change."""
_UNSIGNED = (
    "it is not signed: where the service knows people by signatures, sign it with git commit --amend --no-edit -S"
)


@click.command("adopt", context_settings=options.CONTEXT)
@stack_argument()
@click.argument("addresses", nargs=-1, metavar="[ADDRESS…]")
@click.option("--branch", metavar="NAME", help="Commit the changes that it can make as this new branch of the clone.")
@click.option(
    "--ref", metavar="REF", default="HEAD", show_default=True, help="What to read, and what the branch starts from."
)
@click.option(
    "--repository",
    type=click.Path(path_type=Path, exists=True),
    default=".",
    help="A clone of the configuration. Default: this directory.",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path, exists=True),
    help="A clone of the stack's source repository, if that is another one.",
)
@click.option("--config-path", metavar="DIR", help="The configuration's directory in the clone.")
@options.output
@options.common
@click.pass_context
def command(ctx: click.Context, /, *, stack: str, addresses: tuple[str, ...], form: str, **where: Any) -> None:
    """Adopt drift: show what to change in Git so that it matches the real world. ADDRESS: only these resources.

    With --branch, it commits the changes that it can make on a new branch of the clone: plain values in Terraform and
    CloudFormation code, variables that a document sets for them, and values in manifests. For all others it says what
    to change.
    Exit codes: 0 nothing differs, or all of it is on the branch; 2 something is left to change.
    """
    with connect() as api:
        found = _drift(api, stack, addresses)
    if not found:
        print_rows([], _COLUMNS, form)
        return
    work = _Work.read(ctx, found[0]["stack"], where)
    adoptions = list(work.adoptions(found))
    branch = where["branch"]
    written = list(work.write(adoptions, branch)) if branch is not None else []
    print_rows([_row(found[0]["stack"], each, adopted=branch is not None) for each in adoptions], _COLUMNS, form)
    for sentence in written:
        click.echo(sentence, err=True)
    ctx.exit(0 if branch is not None and all(_has_edit(each) for each in adoptions) else _LEFT)


def _drift(api: Api, stack: str, addresses: Sequence[str]) -> list[dict[str, Any]]:
    shown = api.get(api.stack(stack))
    every = api.every("/drift", space=shown["space"])
    found = [each for each in every if each["stack"] == shown["id"]]
    if unknown := set(addresses) - {each["address"] for each in found}:
        raise CliError(f"the last check of {shown['id']} found no drift of {', '.join(sorted(unknown))}")
    return [each for each in found if not addresses or each["address"] in addresses]


@dataclass(frozen=True, slots=True)
class _Place:
    """A clone, and the commit in it that is read."""

    path: Path
    trees: Trees
    revision: Revision

    @classmethod
    def at(cls, path: Path, ref: str) -> _Place:
        from reconciler.git.trees import Trees

        trees = Trees.of_clone(path)
        revision = trees.resolve(ref)
        if revision is None:
            raise CliError(f"there is no branch or commit {ref} in the clone {path}")
        return cls(path, trees, revision)

    def clone(self) -> Clone:
        from reconciler.loop.desired.adoptions import clone_of

        return clone_of(self.trees, self.revision)

    def text(self, file: str) -> str | None:
        from reconciler.loop.desired.adoptions import text_of

        return text_of(self.trees, self.revision, file)


@dataclass(frozen=True, slots=True)
class _Work:
    """A stack, and the clones in which its values stand; None where there is none here."""

    stack: StackId
    configuration: _Place | None
    source: _Place | None
    config_path: str

    @classmethod
    def read(cls, ctx: click.Context, stack: str, where: Mapping[str, Any]) -> _Work:
        from reconciler.git.errors import GitError
        from spaces.names import StackId

        settings = ctx.ensure_object(options.Common).settings(config_path=where["config_path"])
        named, ref = StackId.parse(stack), where["ref"]
        source = _Place.at(where["source"], "HEAD") if where["source"] is not None else None
        try:
            configuration = _Place.at(where["repository"], ref)
        except GitError as error:
            if where["branch"] is not None:
                raise CliError(f"--branch needs a clone of the configuration: {error.message}") from None
            configuration = None
        return cls(named, configuration, source, settings.config_path)

    def adoptions(self, differences: Sequence[Mapping[str, Any]]) -> Iterator[Adoption]:
        from reconciler.adopting.finding import Finding
        from reconciler.loop.desired.earlier import in_force_at
        from spaces.effective.stack import effective

        here, finding = self.configuration, Finding()
        if here is not None:
            documents = in_force_at(here.trees, here.revision, self.config_path).documents
            if documents.placed(self.stack.ref) is not None:
                stack = effective(documents, self.stack)
                elsewhere = stack.source is not None and stack.source.repository is not None
                source = self.source if elsewhere else here
                finding = Finding(stack, documents, here.clone(), source.clone() if source is not None else None)
        for each in differences:
            yield from finding.adoptions(each)

    def write(self, adoptions: Sequence[Adoption], branch: str) -> Iterator[str]:
        """Commit the edits, in each clone that has some; yield a sentence for each."""
        from reconciler.adopting.edits import Edit, edited
        from reconciler.git.branching import CannotCommit, commit_on_branch

        edits: defaultdict[Path, defaultdict[str, list[Edit]]] = defaultdict(lambda: defaultdict(list))
        places = {}
        for each in adoptions:
            place = self._place(each)
            if place is not None and isinstance(each.how, Edit):
                places[place.path] = place
                edits[place.path][each.how.file].append(each.how)
        message = f"Adopt what {self.stack} has in the real world"
        for path, files in edits.items():
            place = places[path]
            texts = {file: edited(place.text(file) or "", found) for file, found in files.items()}
            try:
                made = commit_on_branch(path, branch, place.revision, texts, message)
            except CannotCommit as error:
                raise CliError(str(error)) from None
            yield f"branch {branch} of {path} is at {made[:12]}; {_UNSIGNED}"

    def _place(self, adoption: Adoption) -> _Place | None:
        # Without one of its own, the source lies with the configuration.
        return self.source if adoption.in_source and self.source is not None else self.configuration


def _has_edit(adoption: Adoption) -> bool:
    from reconciler.adopting.edits import Edit

    return isinstance(adoption.how, Edit)


def _row(stack: str, adoption: Adoption, *, adopted: bool) -> dict[str, Any]:
    from reconciler.adopting.edits import Edit

    how = adoption.how
    words = how.why if not isinstance(how, Edit) else "adopted" if adopted else f"write {how.new}"
    return {
        "stack": stack,
        "address": adoption.address or None,
        "attribute": adoption.attribute,
        "was": adoption.was,
        "is": adoption.now,
        "file": how.file,
        "line": how.line or None,
        "change": "edit" if isinstance(how, Edit) else "byHand",
        "how": words,
    }


def _where(row: Mapping[str, Any]) -> str:
    return f"{row['file']}:{row['line']}" if row["line"] else row["file"] or ""


_COLUMNS = (
    Column("ADDRESS", lambda row: row["address"] or "(not named by the tool)"),
    Column("ATTRIBUTE", key("attribute")),
    Column("IN GIT", lambda row: short_json(row["was"]) if row["attribute"] else ""),
    Column("IN THE WORLD", lambda row: short_json(row["is"]) if row["attribute"] else ""),
    Column("WHERE", _where),
    Column("WHAT TO DO", key("how")),
)
