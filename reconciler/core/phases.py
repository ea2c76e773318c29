"""The phases of a run, in order."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Where a run is: every step, hook, deadline and log line belongs to one of these."""

    PREPARE = "prepare"
    INIT = "init"
    PLAN = "plan"
    APPLY = "apply"


class Leg(StrEnum):
    """The two halves of a run: what happens before somebody or something says yes, and what happens after."""

    PLAN = "plan"
    APPLY = "apply"
