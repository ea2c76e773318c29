"""The words for why: one CamelCase word each, the same in log, metric, API and conditions."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Every reason that a stack or run can give, apart from what a tool's adapter reports of itself."""

    NEW = "New"
    CHANGED = "Changed"
    UP_TO_DATE = "UpToDate"
    RETAINED = "Retained"
    LEAVING = "Leaving"
    DESTROYED = "Destroyed"
    SUSPENDED = "Suspended"
    LOCKED = "Locked"
    FROZEN = "Frozen"
    WAITS_FOR_ROLLOUT = "WaitsForRollout"
    EXPIRED = "Expired"
    PINNED = "Pinned"
    PROTECTED = "Protected"
    HAS_DEPENDENTS = "HasDependents"
    DUE = "Due"
    WAITS_FOR_DEPENDENCY = "WaitsForDependency"

    QUEUED = "Queued"
    PLANNING = "Planning"
    APPLYING = "Applying"
    WAITS_FOR_CONFIRMATION = "WaitsForConfirmation"
    WAITS_FOR_APPROVAL = "WaitsForApproval"
    APPLIED = "Applied"
    NOTHING_TO_DO = "NothingToDo"
    SUPERSEDED = "Superseded"
    CANCELED = "Canceled"
    DISCARDED = "Discarded"
    INTERRUPTED = "Interrupted"
    HALF_APPLIED = "HalfApplied"
    PARTLY_APPLIED = "PartlyApplied"

    POLICY_DENIED = "PolicyDenied"
    REJECTED_BY_POLICY = "RejectedByPolicy"
    IGNORED_BY_POLICY = "IgnoredByPolicy"
    PROPOSED_BY_POLICY = "ProposedByPolicy"
    POLICY_FAILED = "PolicyFailed"
    PROPOSED = "Proposed"

    DRIFTED = "Drifted"
    NO_DRIFT = "NoDrift"
    CHECK_FAILED = "CheckFailed"

    PREPARE_FAILED = "PrepareFailed"
    PLAN_OUTDATED = "PlanOutdated"
    SANDBOX_MISSING = "SandboxMissing"
    TOOL_MISSING = "ToolMissing"
    TOOL_VERSION_MISMATCH = "ToolVersionMismatch"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    SOURCE_REFUSED = "SourceRefused"
    SOURCE_UNVERIFIED = "SourceUnverified"
    ENV_NOT_ALLOWED = "EnvNotAllowed"
    SECRET_UNREADABLE = "SecretUnreadable"  # noqa: S105 - a word, no secret
    ROLE_REFUSED = "RoleRefused"
    ISSUER_UNUSABLE = "IssuerUnusable"
    TFSTATE_UNREADABLE = "TfstateUnreadable"
    RUNNER_DIED = "RunnerDied"
    NEVER_STARTED = "NeverStarted"
    DISK_FULL = "DiskFull"
    MOVE_BLOCKED = "MoveBlocked"
    PIN_UNUSABLE = "PinUnusable"
    POOL_MISSING = "PoolMissing"
    OUTPUT_MISSING = "OutputMissing"
    OUTPUT_UNUSABLE = "OutputUnusable"
    LEASE_LOST = "LeaseLost"

    FETCH_FAILED = "FetchFailed"
    BRANCH_NOT_FOUND = "BranchNotFound"
    BRANCH_EMPTIED = "BranchEmptied"
    CONFIG_PATH_NOT_FOUND = "ConfigPathNotFound"
    HISTORY_REWRITTEN = "HistoryRewritten"


_REMEDIES = {
    Reason.HISTORY_REWRITTEN: "push the revision in force back to the branch, alone or merged with what is there",
    Reason.BRANCH_EMPTIED: "put the files back, or delete stacks by a commit that leaves the other documents",
    Reason.BRANCH_NOT_FOUND: "push the branch again, or set config_branch to its new name",
    Reason.CONFIG_PATH_NOT_FOUND: "put the directory back, or set config_path to the one that is there",
    "TooManyFiles": "split the change into commits that change fewer files",
}


def remedy(reason: str) -> str | None:
    """Return what ends a halt with this reason; None where its message says so, or nobody knows."""
    return _REMEDIES.get(reason)


TOOL_FAILURES = frozenset({"ToolFailed", "ToolKilled", "PhaseTimeout"})
"""Failures that lie with the tool: they are tried again where the stack's document says so (`spec.retry`)."""

RETRYABLE = frozenset(
    {
        Reason.PREPARE_FAILED,
        Reason.SECRET_UNREADABLE,
        Reason.ROLE_REFUSED,
        Reason.SOURCE_UNAVAILABLE,
        Reason.RUNNER_DIED,
        Reason.NEVER_STARTED,
        Reason.DISK_FULL,
        Reason.LEASE_LOST,
        Reason.PLAN_OUTDATED,
    }
)
"""Failures that lie with this service and its surroundings, not with the stack: they are tried again by themselves."""
