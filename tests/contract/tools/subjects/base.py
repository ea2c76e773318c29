"""What a tool brings to the contract: how its stacks are written, and how to look at what they make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

SECRET = "hunter2-of-the-contract"
"""The value of the sensitive output of every stack."""


class Subject(ABC):
    """A tool's stack, which makes one thing that holds a text, in a world of its own.

    The stack has the outputs `greeting` ("hello TEXT") and `secret` (SECRET, sensitive). A module in this folder
    with a class `TheSubject` is found; the kit drives it through a whole service, and through nothing else.
    """

    tool: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """Programs without which it is skipped."""
    uses: ClassVar[tuple[str, ...]] = ()
    """Fixtures that it gets as attributes of the same name."""
    cannot: ClassVar[Mapping[str, str]] = {}
    """Scenarios that make no sense for this tool, each with the reason."""

    deadline: ClassVar[str] = "6s"
    """How long a phase of the stack that hangs may take: more than the tool's plan takes on a busy machine."""
    stops: ClassVar[bool] = True
    """Whether it ends the step that it is in when it is asked to stop. Otherwise it is killed after the grace period."""
    lists_half: ClassVar[bool] = True
    """Whether it says what is there after an apply that failed."""

    def __init__(self, world: Path) -> None:
        self.world = world
        self.settings: Mapping[str, Any] = {}
        """Settings of the service that its runs need."""

    def spec(self) -> dict[str, Any]:
        """Return the stack's `spec` without tool and source."""
        return {}

    @abstractmethod
    def files(self, text: str) -> dict[str, str]:
        """Return the source that makes the thing with this text."""

    @abstractmethod
    def failing(self) -> dict[str, str]:
        """Return a source that makes the thing with the text "half", and fails then."""

    @abstractmethod
    def hanging(self) -> dict[str, str]:
        """Return a source whose apply makes the file `world/hanging`, and does not end within a minute."""

    def made(self) -> str | None:
        """Return the text of the thing that is there; None: there is none."""
        file = self.world / "thing"
        return file.read_text().strip() if file.exists() else None

    def meddle(self) -> None:
        """Change the thing behind the tool's back."""
        (self.world / "thing").write_text("meddled")

    def close(self) -> None:  # noqa: B027 - most start nothing
        """Stop what `__init__` started."""
