"""Some dev sentences with what teacher and student say of them: right, at odds, and wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from distill.latency import Timed
    from pipelines.tasks import Task

WANTED = {(True, True): 2, (True, False): 1, (False, True): 1, (False, False): 1}  # (teacher, student) is right
LONGEST = 72  # characters that fit a line of the table


@dataclass(frozen=True)
class Said:
    """What a model says of a sentence.

    Args:
        label: the most probable class.
        probability: of it.
    """

    label: str
    probability: float


@dataclass(frozen=True)
class Verdict:
    """A sentence, its label, and what both models say of it."""

    text: str
    label: str
    teacher: Said
    student: Said

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Verdict:
        """A verdict as metrics.json has it."""
        models = {model: Said(**content[model]) for model in ("teacher", "student")}
        return cls(content["text"], content["label"], **models)


def choose_verdicts(task: Task, place: str, timed: Timed) -> list[Verdict]:
    """The first sentences of each kind, so that also what goes wrong is seen.

    Args:
        task: of classes, with one text column.
        place: the Parquet file that the texts are from.
        timed: what both models predict of some of its rows.

    Returns:
        The sentences; none without labels.
    """
    import pyarrow.parquet as pq

    texts = pq.read_table(place, columns=[task.text_columns[0]]).column(0).to_pylist()
    chosen: dict[tuple[bool, bool], list[Verdict]] = {kind: [] for kind in WANTED}
    for number, (row, label) in enumerate(zip(timed.rows, timed.labels, strict=False)):
        truth = task.label.names[int(label)]
        said = {model: _said(task, logits[number]) for model, logits in timed.logits.items()}
        kind = said["teacher"].label == truth, said["student"].label == truth
        is_other = truth not in (found.label for found in chosen[kind])
        if len(texts[row]) <= LONGEST and len(chosen[kind]) < WANTED[kind] and is_other:
            chosen[kind].append(Verdict(texts[row], truth, **said))
    return [found for same in chosen.values() for found in same]


def _said(task: Task, logits: np.ndarray) -> Said:
    from distill.evaluation import probabilities

    best = int(logits.argmax())
    return Said(task.label.names[best], round(float(probabilities(logits)[best]), 3))
