"""What a training stage tells whoever watches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from distill.training_settings import Progress


class TrainingReporter(Protocol):
    """Is told of progress; the terminal's bars and the tests' lists are reporters."""

    def message(self, text: str) -> None:
        """A line worth reading."""

    def warning(self, text: str) -> None:
        """A line that should not be overlooked."""

    def stage_started(self, name: str, examples: int) -> None:
        """A stage begins, with so many examples to see."""

    def advanced(self, progress: Progress) -> None:
        """Steps were done."""

    def stage_ended(self, name: str) -> None:
        """The stage is over."""


class SilentTraining:
    """A reporter that says nothing: other ranks have it."""

    def message(self, text: str) -> None:
        """Drops it."""

    def warning(self, text: str) -> None:
        """Drops it."""

    def stage_started(self, name: str, examples: int) -> None:
        """Drops it."""

    def advanced(self, progress: Progress) -> None:
        """Drops it."""

    def stage_ended(self, name: str) -> None:
        """Drops it."""
