"""What a running job tells whoever watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from distill.training_settings import Progress
    from pipelines.run_folder.records import Record


class Reporter(Protocol):
    """Is told of progress; the terminal's bars and the tests' lists are reporters."""

    def message(self, text: str) -> None:
        """A line worth reading."""

    def warning(self, text: str) -> None:
        """A line that should not be overlooked."""

    def started(self, stage: str, parts: int, finished: list[Record], cost: dict[int, float]) -> None:
        """A stage of shards begins: its parts, what is finished already, and what each part costs."""

    def stage_started(self, name: str, examples: int) -> None:
        """A stage over examples begins, with so many of them to see."""

    def advanced(self, now: Record | Progress) -> None:
        """A part was finished, or steps were done."""

    def ended(self, stage: str) -> None:
        """The stage is over."""


class Silent:
    """A reporter that says nothing: processes beside the first have it."""

    def message(self, *_: object, **__: object) -> None:
        """Drops it."""

    warning = started = stage_started = advanced = ended = message
