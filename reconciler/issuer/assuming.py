"""Credentials of an AWS role that the service itself assumes, for those whose issuer AWS cannot reach.

The service uses its own identity in AWS: an instance's or a task's role, or what its environment says. Whoever writes
a document can name any role that trusts the service. So the external id, which the role's trust policy asks for, is
worded by the service: it is the subject that a token would have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_SECONDS = 3600
"""The longest session that a role may hand on to another one."""
_REGIONS = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
_ANY_REGION = "us-east-1"

NOTE = "Note"
"""The key of the token by which the service knows what credentials are for. AWS's libraries leave it alone."""


class CannotAssume(Exception):
    """AWS gives no credentials for a role. The message is one line, without any credential."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """A role, for whom, and what is said about the session."""

    role: str
    external_id: str
    session: str
    region: str | None
    tags: Mapping[str, str]
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()

    def take_on(self) -> dict[str, Any]:
        """Return credentials in the form that AWS's libraries take from a process; CannotAssume says why not."""
        try:
            import botocore.config  # noqa: PLC0415 - an extra that only some need, and slow to import
            import botocore.exceptions  # noqa: PLC0415
            import botocore.session  # noqa: PLC0415
        except ImportError:
            raise CannotAssume("botocore is not installed: install the extra stationkeeper[aws]") from None
        config = botocore.config.Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 2})
        region = self.region or _REGIONS.get(self.role.split(":")[1], _ANY_REGION)
        try:
            client = botocore.session.Session().create_client("sts", region_name=region, config=config)
            answer = client.assume_role(
                RoleArn=self.role,
                RoleSessionName=self.session,
                ExternalId=self.external_id,
                DurationSeconds=_SECONDS,
                **self._limits(),
            )
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = " ".join(str(error).split())[:300]
            raise CannotAssume(f"{self.role} with the external id {self.external_id}: {why}") from None
        found = answer["Credentials"]
        return {
            "Version": 1,
            "AccessKeyId": found["AccessKeyId"],
            "SecretAccessKey": found["SecretAccessKey"],
            "SessionToken": found["SessionToken"],
            "Expiration": found["Expiration"].astimezone(UTC).isoformat().replace("+00:00", "Z"),
        }

    def _limits(self) -> dict[str, Any]:
        """Return what is said of the session beside its role."""
        found: dict[str, Any] = {}
        if self.tags:
            found["Tags"] = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        if self.policy is not None:
            found["Policy"] = self.policy
        if self.policy_arns:
            found["PolicyArns"] = [{"arn": arn} for arn in self.policy_arns]
        return found


def dies(credentials: Mapping[str, Any]) -> datetime:
    """Return when credentials die; long ago where they do not say it."""
    try:
        return datetime.fromisoformat(str(credentials.get("Expiration"))).astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def config_file(keys: str) -> str:
    """Return the file that tells AWS's libraries to read credentials from the file `keys`, and anew once they die."""
    return f'[default]\ncredential_process = cat "{keys}"\n'


def as_credentials(text: str) -> dict[str, Any] | None:
    """Return a text as credentials; None for a token."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
