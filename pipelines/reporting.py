"""What a running job tells whoever watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipelines.run_folder.records import Record


class Reporter(Protocol):
    """Is told of progress; the terminal's bars and the tests' lists are reporters."""

    def message(self, text: str) -> None:
        """A line worth reading."""

    def started(self, stage: str, parts: int, finished: list[Record], cost: dict[int, float]) -> None:
        """A stage begins: its parts, what is finished already, and what each part costs."""

    def advanced(self, record: Record) -> None:
        """A part was finished."""

    def ended(self, stage: str) -> None:
        """The stage is over."""
