"""The Group: several users under one name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from spaces.model.base import Name, Problem, SpecModel, list_at, matching
from spaces.model.explain import shown

_IDP_GROUP = r"^[^,*\x00-\x1f\x7f-\x9f\u2028\u2029]+$"
_WHOLE_IDP_GROUP = re.compile(_IDP_GROUP)

IdpGroup = Annotated[str, matching(_IDP_GROUP, 255)]


class GroupSpec(SpecModel):
    """Who belongs to the group: users by name, and whoever an identity provider puts into one of its own groups."""

    members: tuple[Name, ...] = Field((), description="Users by name.")
    idp_groups: tuple[IdpGroup, ...] = Field(
        (), description="Groups of the identity provider, exactly as it names them; whoever is in one belongs here."
    )

    @classmethod
    def problems(cls, raw: Mapping[str, Any]) -> Iterator[Problem]:
        """Give names of the identity provider that cannot be, and what is there twice."""
        if list_at(raw, "idpGroups"):
            summary = "spec.idpGroups (groups of an identity provider) is not supported by this version"
            yield Problem(("idpGroups",), "not-supported", summary, "name the users in members", at_key=True)
        for key in ("members", "idpGroups"):
            seen = set()
            for index, text in enumerate(list_at(raw, key)):
                if not isinstance(text, str):
                    continue
                if text in seen:
                    summary = f"spec.{key}[{index}]: {shown(text)} is named twice"
                    yield Problem((key, index), "duplicate-value", summary)
                elif key == "idpGroups" and not _WHOLE_IDP_GROUP.fullmatch(text):
                    summary = f"spec.idpGroups[{index}] is not the name of a group"
                    yield Problem((key, index), "invalid-value", summary, "one line, without commas and *")
                seen.add(text)
