"""How the files of a step are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spaces.reading.attachments import Attach
from spaces.reading.documents import ReadDocuments, read_documents
from spaces.reading.rego import CheckRego, unchecked, with_findings
from spaces.reading.resources import ParsedFile, parse_files


@dataclass(frozen=True, slots=True)
class FileReading:
    """How files are read: the YAML, the files that documents refer to, and the rules of policies."""

    attach: Attach
    read: ReadDocuments = read_documents
    check: CheckRego = unchecked

    def parse(self, files: Mapping[str, bytes], attach: Attach) -> dict[str, ParsedFile]:
        """Return the documents of some files, by path."""
        parsed = dict(parse_files(files.items(), attach, self.read))
        return parsed | with_findings(parsed, self.check)
