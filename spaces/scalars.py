"""What text without quotes means, by the YAML 1.2 core schema."""

from __future__ import annotations

import math
import re

NUMERIC = frozenset("-+.0123456789")
"""What a number begins with."""
WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""The words that are not text."""

_INTEGER = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# All that the three above match, and much else: tells at one look that 10.0.0.0/16, 30m or ./file is none of them.
_LIKE_A_NUMBER = re.compile(r"[-+.0-9a-fA-FinINoxX]+")


def read_number(text: str) -> str | int | float:
    """Read text that begins like a number; it may be text after all. ValueError for a number out of range."""
    if not _LIKE_A_NUMBER.fullmatch(text):
        return text
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
    elif not _NOT_FINITE.fullmatch(text):
        return text
    raise ValueError("the number is out of range")
