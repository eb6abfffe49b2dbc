"""The labels of a task in the configuration of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from pipelines.tasks import Task


def check_classes(task: Task) -> None:
    """Refuses to train for a task of one class: there is nothing to tell apart, and transformers loads no such model.

    Raises:
        UserError: naming column and class.
    """
    label = task.label
    if label.kind == "class" and len(label.names) < 2:
        raise UserError(
            f"expected at least 2 classes in column {label.column!r} of the train part, found only {label.names[0]!r}; "
            "add rows of the others, or name them all with --label-names"
        )


def name_labels(config: PreTrainedConfig, task: Task) -> None:
    """Writes a task's labels into a configuration, so that pipelines print names and not LABEL_1."""
    names = list(task.label.names) or (["score"] if task.label.kind == "score" else [])
    if not names:
        return
    config.num_labels = len(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.problem_type = "regression" if task.label.kind == "score" else "single_label_classification"
