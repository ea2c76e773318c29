"""Which environment variables a document may set: most of them, some only with an extra right, and some never."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

ENV_NAME = r"^([A-Za-z_][A-Za-z0-9_]*|TF_VAR_[A-Za-z_][-A-Za-z0-9_]*)$"
"""The name of a variable that documents and hooks may set."""

_OWN = re.compile(r"(?:STATION_|TF_HTTP_).*|HOME|TMPDIR|TF_CLI_CONFIG_FILE|TF_DATA_DIR|TF_WORKSPACE")
_LOADER = re.compile(r"(?:LD_|DYLD_).*|GLIBC_TUNABLES|GCONV_PATH")
_TAKES_OVER = re.compile(
    r"(?:PYTHON|GIT_|PERL5|TF_CLI_ARGS|BASH_FUNC_).*"
    r"|PATH|IFS|ENV|BASH_ENV|BASHOPTS|SHELLOPTS|CDPATH|PS4|PROMPT_COMMAND"
    r"|NODE_OPTIONS|NODE_PATH|RUBYOPT|RUBYLIB|PERLLIB|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS"
    r"|TF_REATTACH_PROVIDERS"
)


class VariableClass(Enum):
    """The classes of environment variables."""

    PLAIN = "plain"
    TAKES_OVER = "takes over"
    """Its value decides which program a process runs.

    Setting it needs the right env:takeover and the operator's consent.
    """
    OWN = "own"
    """The service itself uses it to steer runs and tools. No document may set it."""


@lru_cache(maxsize=4096)
def classify_variable(name: str) -> VariableClass:
    """Return the class of a variable."""
    if _OWN.fullmatch(name):
        return VariableClass.OWN
    return VariableClass.TAKES_OVER if is_loader(name) or _TAKES_OVER.fullmatch(name) else VariableClass.PLAIN


@lru_cache(maxsize=4096)
def is_loader(name: str) -> bool:
    """Whether the variable would take over even the program that isolates a run, if that program saw it."""
    return _LOADER.fullmatch(name) is not None
