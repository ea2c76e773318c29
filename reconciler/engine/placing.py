"""Makes the job of an order on the machine that takes it on: its binary, its caches, its operator's settings.

The service does this for runs on its own machine, and a worker elsewhere does the same for what it was sent.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.reasons import Reason
from reconciler.credentials.errors import SecretUnreadable
from reconciler.credentials.files import read_secret_file
from reconciler.runner.contract.job import ORDER_FIELDS, Job, LegOrder, TfstateAccess
from reconciler.settings import Settings
from reconciler.tools.base import Tool
from reconciler.tools.registry import tool
from reconciler.tools.side_by_side import Unfit, as_planned, pick
from reconciler.tools.versions import Found, Missing

_CREDENTIAL = re.compile(r'^\s*"?(?:token|password|secret)"?\s*=\s*"([^"]+)"', re.MULTILINE)


class CannotPlace(Exception):
    """This machine cannot take the order on; `reason` is one CamelCase word, the message one line."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine has for the legs that it takes on."""

    data_dir: Path
    search_path: str
    """Where binaries are looked for, as in PATH."""
    tool_paths: Sequence[Path] = ()
    """Directories with several versions of a tool."""
    provider_cache: int = 0
    """How many bytes of providers are kept for the runs of all stacks; 0: none."""
    cli_config: Path | None = None
    """A file with the operator's settings for terraform's command line."""

    @classmethod
    def of(cls, settings: Settings) -> Machine:
        """Return what the machine of a service, or of a worker, with these settings has for runs."""
        return cls(
            settings.data_dir.absolute(),
            settings.search_path,
            settings.tool_paths,
            settings.provider_cache,
            settings.terraform_cli_config,
        )

    def place(self, order: LegOrder, tfstate: TfstateAccess | None) -> Job:
        """Return the job; CannotPlace where the tool is missing here, or is none that the order allows."""
        adapter = tool(order.tool)
        found = self._binary(adapter, order)
        cli_config = self._cli_config() if adapter.abilities.cli_config else ""
        shares = adapter.abilities.cli_config and self.provider_cache
        values = {name: getattr(order, name) for name in ORDER_FIELDS}
        values["masked"] = (*order.masked, *_CREDENTIAL.findall(cli_config))
        return Job(
            **values,
            binary=found.binary,
            tool_version=found.version,
            tfstate=tfstate,
            cache=str(self._cache(order.stack)),
            shared=str(self._own("providers")) if shares else "",
            shared_bytes=self.provider_cache,
            cli_config=cli_config,
        )

    def _binary(self, adapter: Tool, order: LegOrder) -> Found:
        """Return the binary: for an apply exactly the one that made the plan."""
        if order.made_by is not None:
            made_by = order.made_by
            planned = as_planned(adapter, made_by.binary, made_by.version, self.search_path)
            if isinstance(planned, Unfit):
                raise CannotPlace(Reason.TOOL_VERSION_MISMATCH, planned.message)
            return planned
        found = pick(adapter, order.tool_range, self.search_path, self.tool_paths)
        match found:
            case Missing():
                raise CannotPlace(Reason.TOOL_MISSING, found.message)
            case Unfit():
                raise CannotPlace(Reason.TOOL_VERSION_MISMATCH, found.message)
            case Found():
                return found

    def _cli_config(self) -> str:
        if self.cli_config is None:
            return ""
        try:
            return read_secret_file(self.cli_config, "terraform_cli_config")
        except SecretUnreadable as error:
            raise CannotPlace(Reason.PREPARE_FAILED, str(error)) from None

    def _cache(self, stack: str) -> Path:
        """Return where the tool may keep what it downloads: of one stack alone, as a run could put anything there."""
        return self._own("cache") / hashlib.blake2b(stack.encode(), digest_size=12).hexdigest()

    def _own(self, name: str) -> Path:
        return Path(os.path.abspath(self.data_dir)) / name  # noqa: PTH100 - links stay links
