"""What a run found and left behind, without the secrets that it was given.

`steps` masks what a plan found, and `leg` what an apply left, before either goes into a record. `digest` is over the
recorded plan and the files of the saved one: it binds the apply to what somebody saw.
"""

from __future__ import annotations

import os

# hashlib would load OpenSSL as well, and the runner does without it.
from _blake2 import blake2b
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.core.results import Applied, Output, OutputChange, Planned, Resource, ResourceChange
from reconciler.masking.masker import Masker
from reconciler.tools.files import parse_json, read_result
from reconciler.tools.outputs import object_outputs

_PIECE = 1024 * 1024


def digest(planned: Path, files: Iterable[Path]) -> str:
    """Return the digest as hexadecimal; OSError when a file is missing, or is no regular file."""
    total = blake2b(digest_size=32)
    for path in (planned, *sorted(files)):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            total.update(f"{path.name}\0{os.fstat(descriptor).st_size}\0".encode())
            while piece := os.read(descriptor, _PIECE):
                total.update(piece)
        finally:
            os.close(descriptor)
    return total.hexdigest()


MAX_BYTES = 1024 * 1024
"""Outputs are values for other stacks, not files."""


def with_file_outputs(applied: Applied, path: Path) -> Applied:
    """Add what the file says, if there is one; of two outputs with one name the file's holds. StepFailed: unusable."""
    what = "the outputs file ($STATION_OUTPUTS)"
    data = read_result(path, MAX_BYTES)
    if data is None or not data.strip():
        return applied
    outputs = {output.name: output for output in (*applied.outputs, *object_outputs(parse_json(data, what), what))}
    return replace(applied, outputs=tuple(outputs.values()))


_SHORTEST = 8
"""Shorter texts among a tool's sensitive outputs are not looked for elsewhere: they would be found by chance."""


def masked_plan(planned: Planned, masker: Masker) -> Planned:
    """Mask every text of a plan's result."""
    changes = (*planned.changes, *planned.drifted)
    texts = [(it.address, it.type, it.provider, it.before, it.after, it.moved_from, it.imported_id) for it in changes]
    if masker.is_clean([*texts, *((it.name, it.before, it.after) for it in planned.outputs)]):
        return planned

    def masked(change: ResourceChange) -> ResourceChange:
        return replace(
            change,
            address=masker.text(change.address),
            type=masker.text(change.type),
            provider=masker.text(change.provider),
            before=masker.value(change.before),
            after=masker.value(change.after),
            moved_from=None if change.moved_from is None else masker.text(change.moved_from),
            imported_id=None if change.imported_id is None else masker.text(change.imported_id),
        )

    def masked_output(change: OutputChange) -> OutputChange:
        return replace(
            change,
            name=masker.text(change.name),
            before=masker.value(change.before),
            after=masker.value(change.after),
        )

    return replace(
        planned,
        changes=tuple(map(masked, planned.changes)),
        drifted=tuple(map(masked, planned.drifted)),
        outputs=tuple(map(masked_output, planned.outputs)),
    )


def masked_applied(applied: Applied, masker: Masker) -> Applied:
    """Mask every text of what an apply left behind; an output that holds a secret becomes a sensitive one instead."""
    texts = [(it.address, it.type, it.provider, dict(it.attributes)) for it in applied.resources or ()]
    if masker.is_clean([*texts, *((it.name, it.value) for it in applied.outputs)]):
        return applied

    def masked(resource: Resource) -> Resource:
        return Resource(
            masker.text(resource.address),
            masker.text(resource.type),
            masker.text(resource.provider),
            masker.value(dict(resource.attributes)),
        )

    def guarded(output: Output) -> Output:
        # Masked, its value would break the stacks that use it: it is kept, and called sensitive instead.
        sensitive = output.sensitive or masker.value(output.value) != output.value
        return Output(masker.text(output.name), output.value, sensitive)

    resources = None if applied.resources is None else tuple(map(masked, applied.resources))
    return replace(applied, resources=resources, outputs=tuple(map(guarded, applied.outputs)))


def secret_texts(outputs: Iterable[Output]) -> Iterator[str]:
    """Yield the texts in sensitive outputs that are long enough to be looked for elsewhere."""
    for output in outputs:
        if output.sensitive:
            yield from _texts(output.value)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str() if len(value.strip()) >= _SHORTEST:
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
