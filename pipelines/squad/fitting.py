"""What can learn or find answers in texts: models with a start and an end logit for each token of the same windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.methods.names import METHODS
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from pipelines.tasks import Task
    from pipelines.training.request import DistillRequest


def check_spans(task: Task, config: PreTrainedConfig, who: str) -> None:
    """Refuses a model for SQuAD whose family has no head for answers that is known here; of other tasks it takes any.

    Args:
        task: the task.
        config: of the model.
        who: the model, for the message.

    Raises:
        UserError: it has none.
    """
    from distill.families import FAMILIES, WITHOUT_SPANS, has_known_spans

    if task.label.is_span and not has_known_spans(config):
        known = [family for family in FAMILIES if family not in WITHOUT_SPANS]
        raise UserError(
            f"{who}: expected an encoder of {listed(known)} for {task.name}, found {config.model_type}; use a model of "
            "one of these families"
        )


def check_asked(task: Task, request: DistillRequest) -> None:
    """Refuses for SQuAD what has one answer a row: a student of word vectors, and a column of soft labels.

    Args:
        task: the task.
        request: what the user asked for.

    Raises:
        UserError: naming the option.
    """
    if not task.label.is_span:
        return
    if not METHODS[request.method].encoder:
        raise UserError(
            f"--method {request.method}: expected a task of labels or scores, found {task.name}, whose answers are "
            "places in a text; choose another method"
        )
    if request.soft_labels is not None:
        raise UserError(
            f"--soft-labels {request.soft_labels}: expected a task of labels or scores, found {task.name}, of whose "
            "rows a model has a logit for each token; give a fine-tuned --teacher in its place"
        )
