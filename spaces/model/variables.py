"""Which environment variables a document may set: most, some with a right of its own, and some never."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

_OWN = re.compile(r"(?:STATION_|TF_HTTP_).*|HOME|TMPDIR|TF_CLI_CONFIG_FILE|TF_DATA_DIR|TF_WORKSPACE")
_LOADER = re.compile(r"(?:LD_|DYLD_).*|GLIBC_TUNABLES|GCONV_PATH")
_TAKES_OVER = re.compile(
    r"(?:PYTHON|GIT_|PERL5|TF_CLI_ARGS|BASH_FUNC_).*"
    r"|PATH|IFS|ENV|BASH_ENV|BASHOPTS|SHELLOPTS|CDPATH|PS4|PROMPT_COMMAND"
    r"|NODE_OPTIONS|NODE_PATH|RUBYOPT|RUBYLIB|PERLLIB|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS"
    r"|TF_REATTACH_PROVIDERS"
)


class Variable(Enum):
    """What a variable is."""

    PLAIN = "plain"
    TAKES_OVER = "takes over"
    """By it a value decides what a process runs: it needs the right env:takeover, and the operator's yes."""
    OWN = "own"
    """By it the service steers runs and tools itself: no document may set it."""


@lru_cache(maxsize=4096)
def variable(name: str) -> Variable:
    """Say what a variable is."""
    if _OWN.fullmatch(name):
        return Variable.OWN
    return Variable.TAKES_OVER if is_loader(name) or _TAKES_OVER.fullmatch(name) else Variable.PLAIN


@lru_cache(maxsize=4096)
def is_loader(name: str) -> bool:
    """Say whether a variable takes over even the program that shuts a run in, if it were to see it."""
    return _LOADER.fullmatch(name) is not None
