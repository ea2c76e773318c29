"""The shapes about the service itself."""

from __future__ import annotations

from reconciler.web.api.schemas.shapes import Shape


class SettingJson(Shape):
    """A setting. `place`: the file, the environment or the command line that set it, or `default`."""

    name: str
    value: str
    place: str
    description: str


class FindingJson(Shape):
    """The result of one check. `level` is `ok`, `warning` or `error`; `advice` says what to do about it."""

    level: str
    what: str
    found: str
    advice: str | None
