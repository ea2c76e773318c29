"""The template as the API takes it, and whether its parameters and capabilities are all there."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from .api import Json, Stack, fail

_INLINE = 51_200
"""Bytes of a template that a request can carry."""
_VARIABLE = "CF_PARAM_"


def template(stack: Stack) -> Json:
    """Return the template as the API takes it: in the request, or in a bucket where it is too large for that."""
    body = Path(stack.request["template"]).read_bytes()
    if len(body) <= _INLINE:
        return {"TemplateBody": body.decode("utf-8-sig")}
    bucket = stack.request.get("bucket")
    if bucket is None:
        fail(f"the template has {len(body)} bytes, more than {_INLINE}: name a bucket for it (cloudformation.bucket)")
    key = f"station/{stack.name}/{sha256(body).hexdigest()}.template"
    s3 = stack.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    return {"TemplateURL": f"{s3.meta.endpoint_url.rstrip('/')}/{bucket}/{key}"}


def parameters(stack: Stack, declared: list[Json], before: Json | None) -> list[Json]:
    """Return the values of the declared parameters; one that is left out keeps the value that it had."""
    given = {**stack.request.get("parameters", {}), **_from_environment()}
    names = {each["ParameterKey"] for each in declared}
    if unknown := sorted(given.keys() - names):
        fail(f"the template has no parameter {', '.join(unknown)}; it has {', '.join(sorted(names)) or 'none'}")
    had = {each["ParameterKey"] for each in (before or {}).get("Parameters", ())}
    missing = [each["ParameterKey"] for each in declared if "DefaultValue" not in each]
    if missing := sorted(set(missing) - given.keys() - had):
        fail(f"the template asks for {', '.join(missing)}: give a value in cloudformation.parameters")
    kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(names & had - given.keys())]
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in sorted(given.items())] + kept


def require_capabilities(summary: Json, agreed: list[str]) -> None:
    """End where the template needs more than the document agrees to."""
    needed = set(summary.get("Capabilities", ()))
    if summary.get("DeclaredTransforms"):
        needed.add("CAPABILITY_AUTO_EXPAND")
    if "CAPABILITY_NAMED_IAM" in agreed:
        needed.discard("CAPABILITY_IAM")
    if missing := sorted(needed - set(agreed)):
        why = summary.get("CapabilitiesReason") or "the template uses transforms"
        fail(f"the template needs {', '.join(missing)} in cloudformation.capabilities: {why}")


def _from_environment() -> dict[str, str]:
    return {name.removeprefix(_VARIABLE): value for name, value in os.environ.items() if name.startswith(_VARIABLE)}
