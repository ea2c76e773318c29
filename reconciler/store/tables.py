"""The tables. Values that queries select by have a column of their own; the rest of a record is JSON text.

JSON is stored as escaped ASCII text, so that no database can refuse a content (a NUL, half a surrogate pair). Times are
whole microseconds since 1970 (UTC): exact, and in the same order everywhere.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from reconciler.store import access_tables, columns, service_tables
from reconciler.store.columns import KEY, NAME

SCHEMA_VERSION = "0033"
"""The newest migration, which matches the tables below."""

VERSION_TABLE = "station_schema"
"""The table in which the database records its migration."""

ACTIVE_WRITING = (
    "status IN ('queued', 'planning', 'unconfirmed', 'applying') AND kind IN ('tracked', 'destroy', 'task')"
)
"""The runs of which a stack can have only one at a time. A literal, because it is part of an index's definition."""

LOOKING = "status IN ('queued', 'planning', 'unconfirmed', 'applying') AND kind IN ('drift', 'proposed')"
"""The active runs that only look. A literal for the same reason: a database sees by it which index answers."""

IN_LINE = "line IS NOT NULL"

metadata = columns.metadata
"""Of all tables: those of this module, and of the modules named below, which are in it once they are imported."""

_FURTHER = (access_tables, service_tables)

configuration = Table(
    "configuration",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
"""One row, inserted by the first migration, so that there is always a row to lock."""

stacks = Table(
    "stacks",
    metadata,
    Column("id", KEY, primary_key=True),
    Column("space", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("in_git", Boolean, nullable=False, server_default=text("false")),
    Column("tool", Text),
    Column("sync", Text),
    Column("desired_digest", Text),
    Column("applied_digest", Text),
    Column("due_at", BigInteger),
    Column("drifted", Integer),
    Column("resources", Integer, nullable=False, server_default=text("0")),
    Column("applied_at", BigInteger),
    Column("rollout", NAME),
    Column("rollout_part", NAME),
    Column("ready", Text),
    Column("stalled", Text),
    Column("pool", NAME),
    Column("body", Text),
    UniqueConstraint("space", "name"),
    Index("ix_stacks_counted", "in_git", "space", "tool", "sync", "ready", "stalled"),
    Index("ix_stacks_due_at", "due_at"),
    Index("ix_stacks_rollout_rollout_part", "rollout", "rollout_part"),
    Index("ix_stacks_rollout_part", "rollout_part"),
)
"""A row without a body is only a name that other rows refer to.

Everything that belongs to a stack refers to `id`, which survives a change of name. `ready` and `stalled` are the
answers of these conditions. All that is counted stands in one index, so that counting reads no bodies. `resources` is
how many of them are in the table of that name.
"""

runs = Table(
    "runs",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("stack_id", KEY, ForeignKey("stacks.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("holder", Text),
    Column("lease_until", BigInteger),
    Column("cancel_requested", Boolean, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("revision", Text),
    Column("line", NAME),
    Column("pool", NAME),
    Column("body", Text, nullable=False),
    Index("ix_runs_stack_id_id", "stack_id", "id"),
    Index("ix_runs_revision_id", "revision", "id"),
    Index("ix_runs_line_id", "line", "id", sqlite_where=text(IN_LINE), postgresql_where=text(IN_LINE)),
    Index("ix_runs_status_id", "status", "id"),
    Index("ix_runs_looking", "kind", sqlite_where=text(LOOKING), postgresql_where=text(LOOKING)),
    Index(
        "uq_runs_active_writing",
        "stack_id",
        unique=True,
        sqlite_where=text(ACTIVE_WRITING),
        postgresql_where=text(ACTIVE_WRITING),
    ),
)
"""`line` is where a run stands that is queued: its rank, space and pool, as `core.queue` names it.

`pool` is the worker pool; null: the service's own machine.
"""

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("canaries", Boolean, nullable=False),
)
"""What people accepted when they resumed a rollout: so many failures, and that the rest need not wait for canaries."""

turns = Table(
    "turns",
    metadata,
    Column("space", NAME, primary_key=True),
    Column("turn", BigInteger, nullable=False),
)
"""The number of the last turn in which each space got a place for a run. In pools but the default one, the name of the
pool follows that of the space.
"""

drained = Table(
    "drained",
    metadata,
    Column("pool", NAME, primary_key=True),
    Column("person", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
"""The worker pools that start nothing, and who asked for that. The pool `default` is the service's own machine."""

timers = Table(
    "timers",
    metadata,
    Column("stack_id", KEY, ForeignKey("stacks.id"), primary_key=True, autoincrement=False),
    Column("purpose", NAME, primary_key=True),
    Column("item", NAME, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("set_at", BigInteger, nullable=False),
    Column("schedule", Text, nullable=False),
    Index("ix_timers_purpose_at", "purpose", "at"),
    Index("ix_timers_purpose_set_at", "purpose", "set_at"),
)
"""When something is to happen with a stack next. `schedule` is what the time was worked out from, at the time `set_at`.

`item` tells several things of one purpose apart.
"""

pins = Table(
    "pins",
    metadata,
    Column("stack_id", KEY, ForeignKey("stacks.id"), primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
"""The stacks that are to stay at an earlier revision of themselves. The configuration's state says which do."""

plans = Table(
    "plans",
    metadata,
    Column("run_id", NAME, ForeignKey("runs.id"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

logs = Table(
    "logs",
    metadata,
    Column("run_id", NAME, ForeignKey("runs.id"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

judgements = Table(
    "judgements",
    metadata,
    Column("run_id", NAME, ForeignKey("runs.id"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
"""The last verdicts of the policies over a run."""

reviews = Table(
    "reviews",
    metadata,
    Column("run_id", NAME, ForeignKey("runs.id"), primary_key=True),
    Column("person", NAME, primary_key=True),
    Column("approves", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("run_id", NAME, ForeignKey("runs.id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Index("ix_outbox_due_at", "due_at"),
)
"""Notices that are still to be sent. `status` and `body` are of the run when it took the step; `attempt` is a fence."""

announcements = Table(
    "announcements",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("receiver", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Index("ix_announcements_due_at", "due_at"),
)
"""What notifiers are to tell that is not about a run; `attempt` is a fence."""

_KNOWN = text("identity IS NOT NULL")

resources = Table(
    "resources",
    metadata,
    Column("stack_id", KEY, ForeignKey("stacks.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("address", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("made", Text),
    Column("changed", Text),
    Column("identity", NAME),
    Index("ix_resources_identity", "identity", sqlite_where=_KNOWN, postgresql_where=_KNOWN),
)
"""`made` and `changed` are the runs that made it and changed it last; null: from before that was noted.

`identity` is what a provider knows it by; null: nothing that is known, or from before that was noted.
"""

outputs = Table(
    "outputs",
    metadata,
    Column("stack_id", KEY, ForeignKey("stacks.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("value", Text),
    Column("sealed", LargeBinary),
    Column("mark", Text),
)
"""`value` is JSON; a sensitive output has `sealed` instead. `mark` changes with the value."""

dependencies = Table(
    "dependencies",
    metadata,
    Column("child_id", KEY, ForeignKey("stacks.id"), primary_key=True, autoincrement=False),
    Column("parent_id", KEY, ForeignKey("stacks.id"), primary_key=True, autoincrement=False),
    Index("ix_dependencies_parent_id", "parent_id"),
)
"""Which stack in Git waits for which."""

tfstates = Table(
    "tfstates",
    metadata,
    Column("stack_id", KEY, ForeignKey("stacks.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("unit", Text, nullable=False, server_default=""),
    Column("serial", BigInteger),
    Column("lineage", Text),
    Column("run", Text),
    Column("person", Text),
    Column("note", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""The versions are counted by stack, whichever `unit` of it they are of; empty: the stack has only one tfstate."""

sealing_keys = Table(
    "sealing_keys",
    metadata,
    Column("id", NAME, primary_key=True),
)
"""The ids, in hex, of the keys that sealed a value here, so that a missing key is noticed."""

answers = Table(
    "answers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("begun_at", BigInteger, nullable=False),
    Column("status", Integer),
    Column("sealed", LargeBinary),
    Index("ix_answers_begun_at", "begun_at"),
)
"""Requests that clients gave a key, and their answers, encrypted; without one it is being answered."""

orders = Table(
    "orders",
    metadata,
    Column("commit", NAME, primary_key=True),
    Column("branch", NAME, nullable=False),
    Column("space", NAME, nullable=False),
    Column("subject", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_orders_branch", "branch"),
    Index("ix_orders_at", "at"),
)
"""The commits that the service made for people."""

issuer_keys = Table(
    "issuer_keys",
    metadata,
    Column("id", NAME, primary_key=True),
    Column("begins_at", BigInteger, nullable=False),
    Column("public", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""The keys that sign run tokens, private halves encrypted."""

tfstate_locks = Table(
    "tfstate_locks",
    metadata,
    Column("stack_id", KEY, ForeignKey("stacks.id"), primary_key=True, autoincrement=False),
    Column("unit", Text, primary_key=True, server_default=""),
    Column("lock_id", Text, nullable=False),
    Column("info", Text, nullable=False),
    Column("run", Text),
    Column("since", BigInteger, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("stack_id", KEY, ForeignKey("stacks.id"), nullable=False),
    Column("run_id", NAME, ForeignKey("runs.id"), nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("event", Text),
    Column("at", BigInteger),
    Column("person", Text),
    Column("stack", Text),
    Column("run", Text),
    Column("revision", Text),
    Index("ix_audit_person_number", "person", "number"),
    Index("ix_audit_stack_number", "stack", "number"),
    Index("ix_audit_run_number", "run", "number"),
    Index("ix_audit_revision_number", "revision", "number"),
)
"""Rows are only appended. The hash of each covers the row before. What follows the hash is said in the body, too."""

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, nullable=False),
    Column("hash", Text, nullable=False),
)
"""One row: the end of the chain, so that rows missing there are noticed, and there is a row to lock."""
