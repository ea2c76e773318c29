"""The check of `station validate` on stacks' sources: what a run would refuse, found in a directory on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.git.globs import Glob
from spaces.diagnostics import Diagnostic, Severity, error
from spaces.effective.stack import ResolvedSource, effective
from spaces.in_force import InForce
from spaces.reading.resources import Resource

# Never committed, and full of links that tools make.
_SKIPPED = frozenset({".git", ".terraform", ".terragrunt-cache", ".venv", "node_modules"})
_PATH = ("spec", "source", "path")


@dataclass(slots=True)
class SourceCheck:
    """Checks sources below `directory`, the configuration; `top` is the top of its repository."""

    directory: Path
    top: Path
    _links: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, directory: Path) -> SourceCheck:
        """Return a check; the repository is looked for upwards, and without one the directory itself is the top."""
        here = directory.resolve()
        top = next((each for each in (here, *here.parents) if (each / ".git").exists()), here)
        return cls(here, top)

    def check(self, in_force: InForce) -> Iterator[Diagnostic]:
        """Yield what is wrong with the sources of all stacks, as far as they lie in this repository."""
        for stack in in_force.documents.stacks():
            placed = in_force.documents.placed(stack.ref)
            source = effective(in_force.documents, stack).source
            if placed is not None and source is not None and source.repository is None:
                yield from self._source(placed.resource, source)

    def _source(self, resource: Resource, source: ResolvedSource) -> Iterator[Diagnostic]:
        wrong = self._path(source.path)
        if wrong is not None:
            yield error("source-not-found", f"source path {source.path} {wrong}", resource.position(_PATH))
        else:
            for link in self._links_out(source.path):
                summary = f"the source cannot be used: the symbolic link {link} leads outside the repository"
                yield error("source-refused", summary, resource.position(_PATH), "commit the file itself")
        for index, glob in enumerate(source.include):
            if not self._matches(Glob.parse(glob)):
                at = resource.position(("spec", "source", "include", index))
                hint = "write globs relative to the top of the repository"
                yield Diagnostic(Severity.WARNING, "include-empty", f"include {glob} matches nothing", hint, at)

    def _path(self, path: str) -> str | None:
        here = self.directory
        for part in path.split("/"):
            here /= part
            if here.is_symlink() and self._leads_out(here):
                link = here.relative_to(self.directory)
                return f"goes through the symbolic link {link}, which leads outside the repository"
            if not here.exists():
                return "does not exist"
        return None if here.is_dir() else "is not a directory"

    def _leads_out(self, link: Path) -> bool:
        return link.readlink().is_absolute() or not Path(os.path.realpath(link)).is_relative_to(self.top)

    def _links_out(self, path: str) -> list[str]:
        if path not in self._links:
            self._links[path] = sorted(self._find_links_out(self.directory / path))
        return self._links[path]

    def _find_links_out(self, source: Path) -> Iterator[str]:
        for directory, below, names in os.walk(source):
            below[:] = [name for name in below if name not in _SKIPPED]
            for name in (*below, *names):
                link = Path(directory, name)
                if link.is_symlink() and self._leads_out(link):
                    yield link.relative_to(self.directory).as_posix()

    def _matches(self, glob: Glob) -> bool:
        here = self.top
        for part in glob.prefix.split("/") if glob.prefix else ():
            here /= part
            if here.is_symlink():
                return not self._leads_out(here) and here.exists()
        if not glob.parts:
            return os.path.lexists(here)
        todo = [(here, glob.start())]
        while todo:
            directory, positions = todo.pop()
            try:
                entries = list(os.scandir(directory))
            except OSError:
                continue
            for entry in entries:
                after = glob.step(positions, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if after and entry.name != ".git":
                        todo.append((Path(entry.path), after))
                elif glob.is_match(after):
                    return True
        return False
