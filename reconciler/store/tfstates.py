"""What a tfstate says of itself."""

from __future__ import annotations

import json

from reconciler.store.texts import cleaned

_BIGGEST = 2**63 - 1
_LONGEST = 200


def serial_and_lineage(body: bytes) -> tuple[int | None, str | None]:
    """Read both, as far as they are there and what they should be; the body itself is the tool's business."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(content, dict):
        return None, None
    serial, lineage = content.get("serial"), content.get("lineage")
    if not isinstance(serial, int) or isinstance(serial, bool) or not 0 <= serial <= _BIGGEST:
        serial = None
    return serial, cleaned(lineage)[:_LONGEST] if isinstance(lineage, str) else None
