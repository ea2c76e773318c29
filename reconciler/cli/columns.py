"""The columns of the tables of stacks, runs, plans, resources and outputs."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.cli.output import Column, Row, key, moment, short


def _changes(row: Row) -> object:
    counts = row["changes"]
    signs = (("+", counts["create"]), ("~", counts["update"]), ("-", counts["delete"]), ("±", counts["replace"]))
    words = ((word, counts.get(word)) for word in ("forget", "import", "move", "outputs"))
    return " ".join(
        [*(f"{sign}{count}" for sign, count in signs if count), *(f"{word} {count}" for word, count in words if count)]
    )


def _why(row: Row) -> object:
    return "; ".join(f"{one['component']}: {one['summary']}" for one in row["why"])


def _labels(row: Row) -> object:
    return ",".join(f"{name}={value}" for name, value in sorted(row["labels"].items()))


def _links(row: Row, name: str) -> object:
    """Return stacks with the outputs that are used, separated by semicolons."""
    return "; ".join(_link(one) for one in row.get(name, ()))


def _link(one: Row) -> str:
    used = ", ".join(f"{output} as {variable}" for output, variable in sorted(one["outputs"].items()))
    words = ", ".join(each for each in (used, "each time that it is applied" if one.get("always") else "") if each)
    return f"{one['stack']} ({words})" if words else str(one["stack"])


def _follows(row: Row) -> object:
    follows = row.get("follows", ())
    return "; ".join(f"{it['stack']} runs next, because the plan changes output {it['output']}" for it in follows)


def _reason(row: Row) -> object:
    """Return the stack's reason, with a note where it is suspended, locked or pinned for another one."""
    reason = row["reason"]
    if row.get("lock") and reason != "Locked":
        return f"{reason} (locked)"
    if row["suspended"] and reason != "Suspended":
        return f"{reason} (suspended)"
    return f"{reason} (pinned)" if row.get("pin") and reason != "Pinned" else reason


def _source(name: str) -> Callable[[Row], object]:
    """Return a function that words a source's commit; the configuration's own revision is shown elsewhere."""

    def said(row: Row) -> object:
        source = row.get(name)
        if not source or source["repository"] is None:
            return None
        author = f" by {source['author']}" if source["author"] else ""
        return f"{source['repository']} at {source['revision']}{author}"

    return said


def _lock(row: Row) -> object:
    """Return who keeps a stack to themselves, and why; an older service says nothing of locks."""
    lock = row.get("lock")
    return _by(lock) if lock else None


def _pin(row: Row) -> object:
    """Return what a stack is pinned to, by whom, and why; an older service says nothing of pins."""
    pin = row.get("pin")
    return f"to {pin['revision']} {_by(pin)}" if pin else None


def _pool(row: Row) -> object:
    """Return the worker pool, unless it is the one of everybody who names none; an older service says nothing of it."""
    pool = row.get("pool")
    return pool if pool != "default" else None


def _interrupted(row: Row) -> object:
    """Return what is known of an apply that was interrupted."""
    found = row.get("interrupted")
    return f"run {found['run']}: {'; '.join(found['said'])}" if found else None


def _by(kept: Row) -> str:
    until = f" until {kept['until']}" if kept["until"] else ""
    return f"by {kept['person']}{until}: {kept['note']}"


STACKS = (
    Column("STACK", key("id")),
    Column("TOOL", key("tool")),
    Column("SYNC", key("sync")),
    Column("READY", key("conditions.Ready.status")),
    Column("REASON", _reason),
    Column("LAST RUN", key("lastRun.status")),
    Column("APPLIED", short("appliedRevision")),
    Column("ATTEMPTED", short("attemptedRevision"), wide=True),
    Column("RUN", key("lastRun.id"), wide=True),
    Column("POOL", key("pool"), wide=True),
    Column("LABELS", _labels, wide=True),
    Column("WHY", _why, wide=True),
)


def _next(row: Row) -> object:
    """Return what comes by the clock, such as `drift at 2026-03-01 12:00:00`."""
    of_task = (f" ({each['command']})" if each["command"] else "" for each in row.get("next", ()))
    times = (f"{each['kind']} at {moment('at')(each)}" for each in row.get("next", ()))
    return ", ".join(time + command for time, command in zip(times, of_task, strict=True)) or None


def _frozen(row: Row) -> object:
    """Return until when nothing is applied, and by the windows of which spaces."""
    found = row.get("frozen")
    if not found:
        return None
    spaces = ", ".join(dict.fromkeys(window["space"] for window in found["windows"]))
    return f"until {moment('until')(found)} UTC by {spaces}"


STACK = (
    Column("stack", key("id")),
    Column("tool", key("tool")),
    Column("labels", _labels),
    Column("sync", lambda row: f"{row['sync']} ({row['reason']})"),
    Column("why", _why),
    Column("ready", lambda row: _condition(row, "Ready")),
    Column("reconciling", lambda row: _condition(row, "Reconciling")),
    Column("stalled", lambda row: _condition(row, "Stalled")),
    Column("drifted", lambda row: _condition(row, "Drifted")),
    Column("source verified", lambda row: _condition(row, "SourceVerified")),
    Column("interrupted", _interrupted),
    Column("expired", lambda row: _condition(row, "Expired")),
    Column("suspended", lambda row: row["suspended"] or None),
    Column("locked", _lock),
    Column("pinned", _pin),
    Column("pool", _pool),
    Column("waits", key("waits")),
    Column("retained", lambda row: row["retained"] or None),
    Column("desired", key("desiredRevision")),
    Column("attempted", key("attemptedRevision")),
    Column("applied", key("appliedRevision")),
    Column("applied at", moment("appliedAt")),
    Column("source", _source("source")),
    Column("applied source", _source("appliedSource")),
    Column("last run", lambda row: row["lastRun"] and f"{row['lastRun']['id']} {row['lastRun']['status']}"),
    Column("next", _next),
    Column("frozen", _frozen),
    Column("depends on", lambda row: _links(row, "dependencies")),
    Column("dependents", lambda row: _links(row, "dependents")),
)

RUNS = (
    Column("RUN", key("id")),
    Column("STACK", key("stack")),
    Column("KIND", key("kind")),
    Column("STATUS", key("status")),
    Column("REASON", key("reason")),
    Column("CHANGES", _changes),
    Column("CREATED", moment("createdAt")),
    Column("POOL", key("pool"), wide=True),
    Column("PERSON", key("person"), wide=True),
    Column("REVISION", short("revision"), wide=True),
    Column("FINISHED", moment("finishedAt"), wide=True),
    Column("MESSAGE", key("message"), wide=True),
    Column("WHY", _why, wide=True),
)


def _policies(row: Row) -> object:
    said = []
    for verdict in row.get("policies", ()):
        advisory = " (advisory)" if verdict["enforcement"] == "advisory" else ""
        sentences = [*verdict["messages"], *verdict["warnings"]]
        messages = f": {'; '.join(sentences)}" if sentences else ""
        said.append(f"{verdict['policy']} {verdict['result']}{advisory}{messages}")
    return ", ".join(said)


def _reviews(row: Row) -> object:
    said = []
    for review in row.get("reviews", ()):
        note = f": {review['note']}" if review["note"] else ""
        author = " (one of its authors)" if review.get("author") else ""
        said.append(f"{review['person']}{author} {'approves' if review['approve'] else 'rejects'}{note}")
    return ", ".join(said)


RUN = (
    Column("run", key("id")),
    Column("stack", key("stack")),
    Column("kind", key("kind")),
    Column("status", key("status")),
    Column("phase", key("phase")),
    Column("retry", lambda row: row.get("retry") or None),
    Column("refreshes", lambda row: row.get("refreshes") or None),
    Column("prioritized", lambda row: row.get("prioritized") or None),
    Column("pool", _pool),
    Column("targets", lambda row: ", ".join(row.get("targets", ())) or None),
    Column("proposes", lambda row: row.get("proposes") and row["proposes"]["ref"]),
    Column("reason", key("reason")),
    Column("message", key("message")),
    Column("why", _why),
    Column("changes", _changes),
    Column("follows", _follows),
    Column("revision", key("revision")),
    Column("source", _source("source")),
    Column("person", key("person")),
    Column("confirmed by", key("confirmedBy")),
    Column("policies", _policies),
    Column("reviews", _reviews),
    Column("created", moment("createdAt")),
    Column("started", moment("startedAt")),
    Column("finished", moment("finishedAt")),
)


def _address(row: Row) -> object:
    """Return the address, with where the resource comes from when it is moved or imported."""
    origins = (("moved from", row.get("movedFrom")), ("import of", row.get("importedId")))
    said = ", ".join(f"{word} {origin}" for word, origin in origins if origin)
    return f"{row['address']} ({said})" if said else row["address"]


CHANGES = (
    Column("ACTION", key("action")),
    Column("ADDRESS", _address),
    Column("TYPE", key("type")),
    Column("PROVIDER", key("provider"), wide=True),
)

OUTPUT_CHANGES = (
    Column("ACTION", key("action")),
    Column("OUTPUT", key("name")),
    Column("BEFORE", key("before")),
    Column("AFTER", key("after")),
)

RESOURCES = (
    Column("ADDRESS", key("address")),
    Column("TYPE", key("type")),
    Column("PROVIDER", key("provider"), wide=True),
    Column("ATTRIBUTES", key("attributes"), wide=True),
)

OUTPUTS = (
    Column("NAME", key("name")),
    Column("VALUE", lambda row: "(sensitive)" if row["sensitive"] else row["value"]),
)


def _condition(row: Row, name: str) -> object:
    condition = row["conditions"].get(name)
    if condition is None:
        return None
    message = f": {condition['message']}" if condition["message"] else ""
    return f"{condition['status']} ({condition['reason']}{message})"
