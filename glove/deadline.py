"""Questions to a network with one deadline. Pure."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def ask_in_time(ask: Callable[[], T], seconds: float) -> T:
    """The answer to a question, or why there is none.

    Asks in a thread: a name look-up has no timeout of its own, and clients ask repeatedly.

    Args:
        ask: Puts the question.
        seconds: The deadline.

    Raises:
        Exception: Whatever `ask` raised; TimeoutError after the deadline.
    """
    answers: list[T] = []
    troubles: list[Exception] = []

    def work() -> None:
        try:
            answers.append(ask())
        except Exception as error:  # clients raise many kinds
            troubles.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)
    if answers:
        return answers[0]
    raise troubles[0] if troubles else TimeoutError(f"no answer within {seconds:g} s")
