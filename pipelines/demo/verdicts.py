"""Some dev sentences with what teacher and student say of them: right, at odds, and wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from pipelines.run.latency import Answers
    from pipelines.tasks import Task

WANTED = {(True, True): 2, (True, False): 1, (False, True): 1, (False, False): 1}  # (teacher, student) is right
LONGEST = 72  # characters that fit a line of the table


def choose_verdicts(task: Task, place: str, answers: Answers) -> list[dict[str, Any]]:
    """The first sentences of each kind, so that also what goes wrong is seen.

    Args:
        task: of classes, with one text column.
        place: the Parquet file that the texts are from.
        answers: to some of its rows.

    Returns:
        text, label, and for teacher and student the class and its probability; empty without labels.
    """
    import pyarrow.parquet as pq

    if answers.labels is None:
        return []
    texts = pq.read_table(place, columns=[task.text_columns[0]]).column(0).to_pylist()
    chosen: dict[tuple[bool, bool], list[dict[str, Any]]] = {kind: [] for kind in WANTED}
    for number, (row, label) in enumerate(zip(answers.rows, answers.labels, strict=True)):
        said = {name: _verdict(task, logits[number]) for name, logits in answers.logits.items()}
        truth = task.label.names[int(label)]
        same = chosen[said["teacher"]["label"] == truth, said["student"]["label"] == truth]
        wanted = WANTED[said["teacher"]["label"] == truth, said["student"]["label"] == truth]
        if len(texts[row]) <= LONGEST and len(same) < wanted and truth not in (found["label"] for found in same):
            same.append({"text": texts[row], "label": truth, **said})
    return [found for same in chosen.values() for found in same]


def _verdict(task: Task, logits: np.ndarray) -> dict[str, Any]:
    import numpy as np

    powers = np.exp(logits.astype(np.float64) - logits.max())
    best = int(logits.argmax())
    return {"label": task.label.names[best], "probability": round(float(powers[best] / powers.sum()), 3)}
