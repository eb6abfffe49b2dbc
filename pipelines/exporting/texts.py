"""The texts that an export is checked on: a task's dev rows, those in the model's own folder, or made-up ones."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.evaluating.evaluate_job import refuse_without_dev
from pipelines.run_folder.identity import task_from
from pipelines.run_folder.parquet import open_writer
from pipelines.run_folder.run_file import RUN
from pipelines.run_folder.storage import Storage
from pipelines.tasks import Label, Task
from pipelines.tasks.glue import find_task
from pipelines.tasks.squad import SQUAD
from pipelines.tasks.task import DEV
from pipelines.training.parts import TaskData, open_data, write_part

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig

    from augment.files.find import ModelFiles
    from pipelines.found import Found
    from pipelines.options.data import DevChoice

MADE_UP = "The film is slow at first, but its last half hour is well worth the wait."
QUESTION = "What is worth the wait?"


@dataclass(frozen=True)
class Texts:
    """What a model is given.

    Args:
        data: the task; of made-up texts one without labels.
        places: part -> Parquet file of its rows, in a folder where windows may be written beside it.
        labelled: whether the parts are dev parts, to be judged on.
        words: what they are, for people.
        storage: the folder that they lie in.
    """

    data: TaskData
    places: dict[str, str]
    labelled: bool
    words: str
    storage: Storage

    @property
    def first(self) -> str:
        """Where the first part lies."""
        return next(iter(self.places.values()))


def find_texts(choice: DevChoice, config: PreTrainedConfig, files: ModelFiles, folder: str, found: Found) -> Texts:
    """Finds texts for a model.

    Args:
        choice: the user's task and data, if any.
        config: of the model.
        files: of the model; those of our training verbs keep their dev rows.
        folder: an empty one, to write rows into.
        found: what the command has found already.

    Raises:
        UserError: a task without labelled dev rows, or rows that cannot be read.
    """
    storage = Storage(folder)
    if choice.task is not None:
        data = open_data(choice.with_labels(), found)
        refuse_without_dev(data)
        places = {part: write_part(storage, data, part) for part in data.dev_parts}
        return Texts(data, places, True, f"dev rows of {data.task.name}", storage)
    return _of_run(files.folder, storage) or _made_up(config, storage)


def _of_run(folder: Path, storage: Storage) -> Texts | None:
    """The dev rows in the folder of a model that a training verb of ours made."""
    content = Storage(str(folder)).read_json(RUN) or {}
    parts = [path for path in sorted(folder.glob(f"data/{DEV}*.parquet")) if not path.stem.endswith("-windows")]
    if not parts or "tinyaug" not in content or not content.get("task"):
        return None
    task = task_from(content["task"])
    data, place = TaskData(task if task.name == "custom" else find_task(task.name), None), storage.local_folder()
    (place / "data").mkdir(exist_ok=True)
    places = {path.stem: str(shutil.copyfile(path, place / "data" / path.name)) for path in parts}
    return Texts(data, places, True, f"dev rows of {task.name}", storage)


def _made_up(config: PreTrainedConfig, storage: Storage) -> Texts:
    task, texts = Task("custom", ("text",), Label(None, "none")), {"text": [MADE_UP]}
    if finds_spans(config):
        task, texts = SQUAD["squad"], {"context": [MADE_UP], "question": [QUESTION]}
    table = pa.table(texts)
    if task.label.column:
        table = table.append_column(task.label.column, pa.array([{"text": [], "answer_start": []}], task.label.type))
    name = "data/text.parquet"
    with storage.writing(name) as sink, open_writer(sink, table.schema) as writer:
        writer.write_table(table)
    words = f"a made-up text ({MADE_UP!r})"
    return Texts(TaskData(task, None), {"text": str(storage.local_folder() / name)}, False, words, storage)


def finds_spans(config: PreTrainedConfig) -> bool:
    """Whether a model was saved with a head for answers in a text."""
    return any("QuestionAnswering" in name for name in config.architectures or ())
