"""The data of a training stage: a task's parts as Parquet in the stage's folder, random subsets, streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from distill.reading import Columns, ShardFiles, open_shards
from distill.shards import ShardStream, StreamSettings
from pipelines.run_folder.parquet import ROW_GROUP_ROWS, open_writer
from pipelines.run_folder.run_file import InputDigest
from pipelines.squad.windows import window_columns
from pipelines.tasks import Label, OpenTask, Task, pass_over
from pipelines.tasks.glue import plain_name
from pipelines.tasks.task import DEV

if TYPE_CHECKING:
    from pathlib import Path

    from distill.masking import MaskSettings
    from pipelines.found import Found
    from pipelines.options.data import DataChoice
    from pipelines.run_folder.storage import Storage

POOL_ROWS = 32_768  # more rows than one pool: a worker reads ahead


@dataclass(frozen=True)
class TaskData:
    """A task and, where it was named, its data.

    Args:
        task: texts and labels.
        opened: its parts; None for a custom task that is known by its columns alone.
        skip_bad_rows: leave out rows of the train part that cannot be read; dev is judged whole or not at all.
        names_given: the user named the classes in order.
    """

    task: Task
    opened: OpenTask | None
    skip_bad_rows: bool = False
    names_given: bool = False

    @property
    def revision(self) -> str | None:
        """The hub's commit that is read; None for files of the user's."""
        return self.opened.revision if self.opened is not None else None

    @property
    def dev_parts(self) -> tuple[str, ...]:
        """Labelled dev parts that are present, the selecting one first: MNLI's matched before its mismatched."""
        if self.opened is None or self.task.label.kind == "none":
            return ()
        return tuple(part for part in self.opened.parts if part.startswith(DEV))

    def notes(self) -> tuple[str, ...]:
        """What to say of how the train part is read."""
        return self.opened.notes() if self.opened is not None else ()

    def inputs(self, parts: tuple[str, ...]) -> list[InputDigest]:
        """The files of some parts."""
        if self.opened is None:
            return []
        files = [file for part in parts for file in self.opened.split(part).files]
        return [*dict.fromkeys(InputDigest(file.name, file.bytes, file.sha256) for file in files)]


def open_data(choice: DataChoice, found: Found) -> TaskData:
    """Finds a task's parts.

    Raises:
        UserError: unknown task, missing files or columns.
    """
    if plain_name(choice.task) == "custom" and choice.data is None and choice.custom is not None:
        return TaskData(Task("custom", choice.custom.text, Label(None, "none")), None)
    opened = found.task(choice.task, choice.data, choice.custom, choice.revision)
    named = choice.custom is not None and choice.custom.label_names is not None
    return TaskData(opened.task, opened, choice.skip_bad_rows, named)


def check_dev_rows(data: TaskData) -> None:
    """Reads the dev parts of a task whose other bad rows are skipped, before a stage has taken hours.

    Raises:
        UserError: a row that cannot be read.
    """
    if data.skip_bad_rows and data.opened is not None:
        for part in data.dev_parts:
            for _ in data.opened.split(part).batches(rows=ROW_GROUP_ROWS):
                continue


def write_part(storage: Storage, data: TaskData, part: str) -> str:
    """A part as Parquet, written once; texts and label alone, of SQuAD the ids, too.

    Args:
        storage: the stage's folder.
        data: the task.
        part: train, validation, ….

    Returns:
        Its path.

    Raises:
        UserError: rows that cannot be read, an unknown label.
    """
    name = f"data/{part}.parquet"
    if storage.size(name) is None and data.opened is not None:
        task = data.task
        columns = [*task.text_columns, *([task.label.column] if task.label.column else [])]
        columns += ["id"] if task.label.is_span else []
        split = data.opened.split(part)
        if data.skip_bad_rows and part == "train":
            split = replace(split, on_bad=pass_over)
        schema = pa.schema([split.schema.field(column) for column in columns])
        with storage.writing(name) as sink, open_writer(sink, schema) as writer:
            for batch in split.batches(rows=ROW_GROUP_ROWS):
                writer.write_table(pa.Table.from_batches([batch]).select(columns).cast(schema))
    return str(storage.local_folder() / name)


def write_subset(storage: Storage, location: str, columns: Columns, rows: int, seed: int) -> str:
    """A random subset of shards, written once, in their order.

    Args:
        storage: the stage's folder.
        location: folder or file of Parquet.
        columns: what to keep.
        rows: how many; a data set that has fewer is left as it is.
        seed: of the choice.

    Returns:
        Where the rows lie.
    """
    files = open_shards(location, columns)
    if files.rows <= rows:
        return location
    of = f"{PurePath(location).stem}-" if columns.tokenised else ""  # windows of original and of augmented rows
    chosen = np.zeros(files.rows, bool)
    chosen[np.random.default_rng(seed).choice(files.rows, rows, replace=False)] = True
    return write_chosen(storage, files, columns, chosen, f"{of}subset-{rows}")


def write_chosen(storage: Storage, files: ShardFiles, columns: Columns, chosen: np.ndarray, name: str) -> str:
    """Some rows of shards, written once, in their order.

    Args:
        storage: the stage's folder.
        files: the shards.
        columns: what to keep.
        chosen: bool (R,) whether each row is, shard after shard.
        name: of the file, without its ending.

    Returns:
        Where the rows lie.
    """
    name = f"data/{name}{'-labelled' if columns.label else ''}.parquet"
    if storage.size(name) is None:
        _copy_rows(storage, name, files, columns, chosen)
    return str(storage.local_folder() / name)


def _copy_rows(storage: Storage, name: str, files: ShardFiles, columns: Columns, chosen: np.ndarray) -> None:
    import pyarrow.parquet as pq

    first, writer = 0, None
    with storage.writing(name) as sink:
        for shard, path in enumerate(files.paths):
            with pq.ParquetFile(path, filesystem=files.filesystem) as file:
                for group, size in enumerate(files.row_groups[shard]):
                    inside = np.flatnonzero(chosen[first : first + size])
                    first += size
                    if not len(inside):
                        continue
                    table = _read_group(file, group, path, columns).take(pa.array(inside))
                    writer = writer or open_writer(sink, table.schema)
                    writer.write_table(table)
        if writer is not None:
            writer.close()


def _read_group(file: Any, group: int, path: str, columns: Columns) -> pa.Table:
    from distill.stores import reading

    with reading(f"row group {group} of {path}"):
        return file.read_row_group(group, columns=columns.names).replace_schema_metadata(None)


def row_columns(task: Task, labelled: bool = False) -> Columns:
    """What is read of rows that have not become windows yet.

    Args:
        task: the task.
        labelled: whether labels are read and checked.
    """
    return Columns(task.text_columns, task.label.column) if task.label.is_span else task_columns(task, labelled)


def task_columns(task: Task, labelled: bool) -> Columns:
    """What is read of a task's rows, or of the windows that SQuAD's become.

    Args:
        task: the task.
        labelled: whether labels are read and checked.
    """
    if task.label.is_span:
        return window_columns(labelled)
    if not labelled or task.label.column is None:
        return Columns(task.text_columns)
    classes = len(task.label.names) if task.label.kind == "class" else None
    return Columns(task.text_columns, task.label.column, classes)


def open_stream(
    location: str,
    columns: Columns,
    tokenizer: Any,
    max_length: int,
    batch_rows: int,
    seed: int = 0,
    masking: MaskSettings | None = None,
    kept: Path | None = None,
) -> ShardStream:
    """A stream of batches; a worker process reads ahead where the data does not fit one pool.

    Args:
        location: folder or file of Parquet.
        columns: what to read.
        tokenizer: a fast one.
        max_length: tokens.
        batch_rows: examples of a step.
        seed: of the order.
        masking: of tokens, for a masked-LM loss; None without one.
        kept: folder for tokenised rows; None for rows that are read once.
    """
    from distill.tokens import tokenizer_json

    files = open_shards(location, columns)
    settings = StreamSettings(
        max_length=max_length,
        batch_rows=batch_rows,
        seed=seed,
        workers=1 if files.rows > POOL_ROWS else 0,
        masking=masking,
    )
    return ShardStream(files, columns, tokenizer_json(tokenizer), tokenizer.pad_token_id, settings, kept)
