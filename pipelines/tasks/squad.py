"""SQuAD 1.1 and 2.0: questions whose answers lie in a text, with the columns of the hub's `squad` and `squad_v2`."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

from pipelines.tasks.task import Label, Task, plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTEXT, QUESTION, ANSWERS, ID, TITLE = "context", "question", "answers", "id", "title"
MAX_LENGTH = 384
"""Tokens of a window where the user says nothing; BERT's scripts have them, too."""

PREDICTION = (3, 32, 5e-5)
"""Epochs, batch and rate of the prediction stage (appendix C)."""


class Answers(TypedDict):
    """Texts, and the code points of the context where they start."""

    text: list[str]
    answer_start: list[int]


class Row(TypedDict):
    """A question that was checked; `id` may be missing in shards of others."""

    id: str
    context: str
    question: str
    answers: Answers


@dataclass(frozen=True)
class Unchecked:
    """A question as a file has it."""

    id: object
    context: object
    question: object
    answers: object
    title: object = None


def _task(name: str) -> Task:
    return Task(name, (CONTEXT, QUESTION), Label(ANSWERS, "span"), metrics=("f1", "exact"))


SQUAD: Mapping[str, Task] = MappingProxyType({"squad": _task("squad"), "squadv2": _task("squad_v2")})
"""Tasks by plain name."""


def is_squad(name: str) -> bool:
    """Whether a task that is named so is one of SQuAD's."""
    return plain_name(name) in SQUAD


def may_lack_answers(task: Task) -> bool:
    """Whether questions of the task may have no answer, as in 2.0."""
    return task.name == "squad_v2"
