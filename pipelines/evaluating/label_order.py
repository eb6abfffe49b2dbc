"""A classifier's outputs in the order of the data's classes: by name, or as the user says, judged on a dev part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.checks import check_labels, is_unnamed, label_names
from pipelines.errors import UserError
from pipelines.models.load import load_task_model
from pipelines.squad.judging import Answered
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from augment.files.find import ModelFiles
    from pipelines.evaluating.dev_scores import Judged
    from pipelines.tasks import Task
    from pipelines.training.parts import TaskData

NATURAL = ("false", "true")  # beside integers the classes that everyone numbers alike


def load_in_order(found: ModelFiles, config: PreTrainedConfig, task: Task, seed: int | None = None) -> PreTrainedModel:
    """A model with its task head, its outputs in the order of the task's classes; in float32, in eval mode.

    Args:
        found: its files.
        config: its configuration, as the files have it; unchanged.
        task: its classes; without any the outputs stay as they are.
        seed: a head that is missing is drawn from it; None refuses that.

    Raises:
        UserError, DistillError: weights that cannot be read or lack more than a head, labels of another task.
    """
    from distill.label_order import reorder_outputs

    model = load_task_model(found, config, task, seed)
    if task.label.names:
        reorder_outputs(model, _order(found, config, task))
    return model


def order_note(found: ModelFiles, config: PreTrainedConfig, task: Task) -> tuple[str, ...]:
    """What to say of a model whose labels come in another order than the task's classes.

    Args:
        found: its files.
        config: its configuration, as the files have it.
        task: the task.
    """
    order = _order(found, config, task)
    if order == tuple(range(len(order))):
        return ()
    return (
        f"{found.what} {found.name}: its labels {listed(label_names(config))} are mapped by name to "
        f"{listed(task.label.names)}",
    )


def refuse_unordered(found: ModelFiles, config: PreTrainedConfig, data: TaskData) -> None:
    """Refuses a model without label names where it may have been trained with the classes in another order.

    Classes of no known order are sorted by name, which whoever trained the model need not have done. The order is known
    of GLUE's tasks, of integers and truth values, of classes that Parquet files store in order, and where --label-names
    gives it.

    Args:
        found: its files.
        config: its configuration.
        data: the task.

    Raises:
        UserError: asking for the order.
    """
    names, unnamed = data.task.label.names, label_names(config)
    if data.task.name != "custom" or not names or data.names_given or not is_unnamed(config):
        return
    numbers = [name for name in names if name.removeprefix("-").isdecimal()]
    if (
        tuple(name.lower() for name in names) == NATURAL
        or set(names) == set(unnamed)
        or list(names) == [str(number) for number in sorted(map(int, numbers))]
        or _are_stored(data)
    ):
        return
    raise UserError(
        f"{found.what} {found.name}: expected names of its labels, to map them to {listed(names)}; found "
        f"{listed(unnamed)}. Give --label-names with the classes in the order it was trained with, such as "
        f"--label-names {','.join(names)}, or write them into id2label of its config.json"
    )


def misorder_words(
    found: ModelFiles, config: PreTrainedConfig, data: TaskData, part: str, judged: Judged | Answered
) -> str | None:
    """What to say where a model's predictions fit another order of its labels far better; else None.

    Args:
        found: its files.
        config: its configuration, as the files have it.
        data: the task.
        part: that was predicted.
        judged: the predictions, in the order of the task's classes.
    """
    from distill.label_order import find_misorder

    names, custom = data.task.label.names, data.task.name == "custom"
    if not names or isinstance(judged, Answered):
        return None
    misorder = find_misorder(judged.logits, judged.labels)
    if misorder is None:
        return None
    order = _order(found, config, data.task)
    as_found, better = list(names), list(names)  # by the number of the file's output
    for number, output in enumerate(misorder.order):
        as_found[order[number]], better[order[output]] = names[number], names[number]
    remedy = f"correct id2label in its config.json: {', '.join(f'{i} {name}' for i, name in enumerate(better))}"
    if is_unnamed(config) and custom:
        remedy = f"give --label-names {','.join(better)}, or name its labels in id2label of its config.json"
    return (
        f"{found.what} {found.name}: expected its labels in the order {listed(as_found)}, found accuracy "
        f"{misorder.accuracy:.4f} on {part} with it and {misorder.better:.4f} with {listed(better)}; {remedy}"
    )


def _order(found: ModelFiles, config: PreTrainedConfig, task: Task) -> tuple[int, ...]:
    names = task.label.names
    return check_labels(config, names, f"{found.what} {found.name}", task.name) if names else ()


def _are_stored(data: TaskData) -> bool:
    """Whether the train part's files store the classes, in the order that whoever trained on them had."""
    if data.opened is None or "train" not in data.opened.parts:
        return False
    sources = data.opened.split("train").sources
    return all(one.class_names.get(data.task.label.column or "") for one in sources)
