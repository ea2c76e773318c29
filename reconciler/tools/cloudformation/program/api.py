"""One stack, seen through its API, and what every part of the program needs to speak with AWS."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.session import get_session

Json = dict[str, Any]

UNUSABLE = (BotoCoreError, ResponseParserError)
"""No answer, or one that is none of the API's."""

_TOO_MANY_CALLS = {"RequestLimitExceeded", "SlowDown", "TooManyRequestsException"}

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


def fail(message: str) -> NoReturn:
    """End with one line that says what is wrong."""
    print(f"Error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(1)


def say(message: str) -> None:
    """Write a line into the run's log at once."""
    print(message, flush=True)


def pauses() -> Iterator[float]:
    """Yield the seconds that have passed, at longer and longer intervals, without an end."""
    began, pause = time.monotonic(), _FIRST_PAUSE
    while True:
        yield time.monotonic() - began
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def code_of(error: ClientError) -> str:
    """Return AWS's word for an error; empty where it gives none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def words(error: Exception) -> str:
    """Return what went wrong, as AWS says it, in one line."""
    if not isinstance(error, ClientError):
        return str(error).partition(", further debug")[0]
    tries = int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) + 1
    often = f" (asked {tries} times)" if tries > 1 else ""
    return f"{code_of(error) or 'AWS'}: {error.response.get('Error', {}).get('Message', error)}{often}"


def is_passing(error: Exception) -> bool:
    """Whether it is worth asking again: no answer, one that is none of the API's, or too many calls."""
    if not isinstance(error, ClientError):
        return isinstance(error, UNUSABLE)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status == 429 or "Throttl" in code_of(error) or code_of(error) in _TOO_MANY_CALLS


def is_missing(error: ClientError) -> bool:
    """Whether the API says that there is no such stack: it has no code of its own for that."""
    return code_of(error) in {"ValidationError", "StackNotFoundException"} and "does not exist" in str(error)


class Stack:
    """One stack, seen through its API."""

    def __init__(self, request: Json) -> None:
        """Open the API of the region in the request."""
        self.name: str = request["stackName"]
        self.request = request
        self.api = self.client("cloudformation")

    def client(self, service: str) -> Any:
        """Return a client of another service of the same account and region."""
        session: Any = get_session()
        config = Config(
            retries={"mode": "standard", "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", "8"))},
            connect_timeout=10,
            read_timeout=60,
            s3={"addressing_style": "path"},
        )
        return session.create_client(
            service, region_name=self.request["region"], endpoint_url=self.request.get("endpointUrl"), config=config
        )

    def describe(self) -> Json | None:
        """Return the stack; None: there is none."""
        try:
            found: Json = self.api.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found

    def outputs(self) -> Json:
        """Return the outputs by name."""
        found = self.describe() or {}
        return {each["OutputKey"]: each.get("OutputValue") for each in found.get("Outputs", ())}

    def resources(self, name: str | None = None, prefix: str = "") -> Iterator[Json]:
        """Yield the resources, those of nested stacks below their own."""
        pages = self.api.get_paginator("list_stack_resources").paginate(StackName=name or self.name)
        for each in (each for page in pages for each in page["StackResourceSummaries"]):
            if each["ResourceStatus"] == "DELETE_COMPLETE":
                continue
            yield {
                "address": prefix + each["LogicalResourceId"],
                "type": each["ResourceType"],
                "id": each.get("PhysicalResourceId"),
                "status": each["ResourceStatus"],
            }
            if each["ResourceType"] == "AWS::CloudFormation::Stack" and each.get("PhysicalResourceId"):
                yield from self.resources(each["PhysicalResourceId"], f"{prefix}{each['LogicalResourceId']}.")
