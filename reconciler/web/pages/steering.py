"""What people do with stacks on the page: each button calls the function of the API's route."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.web.api import pins, steering
from reconciler.web.api.auth import Caller
from reconciler.web.api.errors import not_found
from reconciler.web.api.schemas.runs import TaskRequest
from reconciler.web.api.schemas.stacks import LockRequest, PinRequest
from reconciler.web.pages.choices import shaped
from reconciler.web.ports import Ports

_RUNS = {
    "run": steering.request_run,
    "plan": steering.plan_stack,
    "drift": steering.check_drift,
    "refresh": steering.refresh_stack,
    "destroy": steering.destroy_stack,
}
_CHANGES = {
    "suspend": steering.suspend_stack,
    "resume": steering.resume_stack,
    "unlock": steering.unlock_stack,
    "unpin": pins.unpin_stack,
}


def steer(ports: Ports, caller: Caller, space: str, name: str, verb: str, sent: Mapping[str, str]) -> str:  # noqa: PLR0917
    """Do something with a stack; return the address of the page that shows what came of it.

    Raise OperationRefused where it is refused, 422 for a field of the form that cannot be read, 404 for another verb.
    """
    here = (ports, caller, space, name)
    if verb in _RUNS:
        return f"/runs/{_RUNS[verb](*here).id}"
    if verb in _CHANGES:
        _CHANGES[verb](*here)
        return f"/stacks/{space}/{name}"
    # Empty: until somebody ends it.
    until = {"note": sent.get("note", ""), "duration": sent.get("duration", "").strip() or None}
    match verb:
        case "task":
            # Browsers send line breaks as two characters.
            command = sent.get("command", "").replace("\r\n", "\n")
            return f"/runs/{steering.run_task(*here, shaped(TaskRequest, command=command)).id}"
        case "lock":
            steering.lock_stack(*here, shaped(LockRequest, **until))
        case "pin":
            pins.pin_stack(*here, shaped(PinRequest, at=sent.get("at", "").strip(), **until))
        case "forget":
            steering.forget_stack(*here)
            return "/stacks"
        case _:
            raise not_found("such action")
    return f"/stacks/{space}/{name}"
