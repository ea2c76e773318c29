"""Follows one operation on a stack by its events: they alone say whether a state is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, takewhile

from botocore.exceptions import ClientError

from .api import UNUSABLE, Json, Stack, fail, is_missing, is_passing, pauses, say, words

PATIENCE = 300.0
"""How long, in seconds, AWS may take to begin what it was asked for."""
_NEXT = "the next run waits until the stack is at rest"
_AS_GOOD_AS_DONE = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that is about to be asked for: its stack, its token, and the newest event from before it."""

    stack: Stack
    stack_id: str
    token: str
    before: str | None

    @classmethod
    def about_to_begin(cls, stack: Stack, stack_id: str) -> Operation:
        """Note the newest event that is there."""
        newest = next(_newest_first(stack, stack_id), None)
        return cls(stack, stack_id, stack.request["token"], None if newest is None else newest["EventId"])

    def follow(self) -> str:
        """Print events as they come, and return the state in which the operation leaves the stack.

        The state that the stack has in the meantime may still be that of an earlier operation: it counts for nothing.
        """
        told: set[str] = set()
        answered, silent = 0.0, ""
        for passed in pauses():
            try:
                state = self._look(told)
            except (*UNUSABLE, ClientError) as error:
                if not is_passing(error):
                    raise
                # AWS is at work whoever watches: it is asked again, and nothing is begun anew.
                if passed - answered >= PATIENCE:
                    long = f"has not answered for {PATIENCE / 60:.0f} minutes"
                    fail(f"AWS goes on with what it has begun, but {long}: {words(error)}; {_NEXT}")
                if words(error) != silent:
                    silent = words(error)
                    say(f"WARNING: no answer of AWS, which goes on: {silent}")
                continue
            answered, silent = passed, ""
            if state is not None and (not state.endswith("_IN_PROGRESS") or state == _AS_GOOD_AS_DONE):
                return state
            if state is None and passed >= PATIENCE:
                fail(f"AWS has not begun within {PATIENCE / 60:.0f} minutes: look at the events of {self.stack.name}")
        raise AssertionError

    def _look(self, told: set[str]) -> str | None:
        """Print the events that are not `told` yet, and return the operation's newest state; None: it has none."""
        new = self._new()
        for event in new:
            if event["EventId"] not in told:
                told.add(event["EventId"])
                say(_line(event))
        states = self._states(new)
        if states and not states[-1].endswith("_IN_PROGRESS"):
            return states[-1]
        return "DELETE_COMPLETE" if self._is_gone() else states[-1] if states else None

    def first_failure(self) -> str:
        """Return the first failure among new events: those that follow are mostly its consequence."""
        for event in self._new():
            if event["ResourceStatus"].endswith("_FAILED"):
                return f": {event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'without a reason')}"
        return ""

    def _new(self) -> list[Json]:
        """Return the events of the operation, oldest first."""
        events = _newest_first(self.stack, self.stack_id)
        # A stack keeps ninety days of them: what was there before is not read again at each look.
        return [*takewhile(lambda event: event["EventId"] != self.before, events)][::-1]

    def _states(self, events: list[Json]) -> list[str]:
        """Return the states that the stack has had since this operation began.

        A cancelation has another token: once the operation has begun, whatever becomes of the stack counts.
        """
        own = [event for event in events if event.get("PhysicalResourceId") == self.stack_id]
        begun = dropwhile(lambda event: event.get("ClientRequestToken") not in {None, self.token}, own)
        return [str(event["ResourceStatus"]) for event in begun]

    def _is_gone(self) -> bool:
        try:
            found = self.stack.api.describe_stacks(StackName=self.stack_id)["Stacks"]
        except ClientError as error:
            if is_missing(error):
                return True
            raise
        return not found or found[0]["StackStatus"] == "DELETE_COMPLETE"


def _newest_first(stack: Stack, stack_id: str) -> Iterator[Json]:
    """Yield the stack's events, page by page; none where there is no stack any more."""
    try:
        for page in stack.api.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            yield from page["StackEvents"]
    except ClientError as error:
        if not is_missing(error):
            raise


def _line(event: Json) -> str:
    reason = f" ({event['ResourceStatusReason']})" if event.get("ResourceStatusReason") else ""
    return f"{event['LogicalResourceId']} {event.get('ResourceType', '')} {event['ResourceStatus']}{reason}"
