"""GLUE's classic TSV files: where they are and which of their columns are which."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.glue import plain_name
from pipelines.tasks.labels import LabelReader
from pipelines.tasks.readers.delimited import delimited_source
from pipelines.tasks.readers.lines import Lines
from pipelines.tasks.readers.source import Column, Plan, Role, Source
from pipelines.tasks.split import OpenTask, Split
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.tasks.task import BadRow, Task

_OTHER_FORMATS = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")


def open_glue(task: Task, data: Path, on_bad: Callable[[BadRow], None]) -> OpenTask:
    """A task's own files: in a folder, in the task's folder inside it, or a file as the train part.

    Raises:
        UserError: If there are none.
    """
    files = _files(task, data)
    parts = {part: partial(open_glue_file, task, part, path, on_bad) for part, path in files.items()}
    unknown = (f"a part of {listed(task.splits)}",)
    place = str(next(iter(files.values())).parent)
    return OpenTask(task, parts, lambda part: task.splits.get(part, unknown)[0], place)


def _files(task: Task, data: Path) -> dict[str, Path]:
    if data.is_file():
        return {"train": data}
    if not data.is_dir():
        raise UserError(f"{data}: expected a folder with GLUE's files or a file, found nothing there.")
    # The folder that is named comes first: it may hold other tasks' folders beside its own files.
    inside = sorted(child for child in data.iterdir() if child.is_dir() and plain_name(child.name) == task.name)
    for folder in (data, *inside):
        if files := _parts(task, folder):
            return files
    raise UserError(
        f"{data}: expected {listed(names[0] for names in task.splits.values())}, or a folder such as "
        f"{task.name.upper()}/ with them; found {listed(sorted(child.name for child in data.iterdir()))}. Name the "
        "right folder with --data."
    )


def _parts(task: Task, folder: Path) -> dict[str, Path]:
    found = {}
    for part, names in task.splits.items():
        if paths := [folder / name for name in names if (folder / name).is_file()]:
            found[part] = paths[0]
    return found


def open_glue_file(task: Task, part: str, path: Path, on_bad: Callable[[BadRow], None]) -> Split:
    """Opens the file of one part.

    Raises:
        UserError: If it cannot be read or lacks a column.
    """
    header = () if part.startswith("test") or _has_header(task, path) else task.headerless
    return glue_split(task, part, (delimited_source(path, path.name, "\t", quoted=False, header=header),), on_bad)


def _has_header(task: Task, path: Path) -> bool:
    _, first = next(iter(Lines(path)), (1, b""))
    return not task.headerless or task.text_columns[0].encode() in first.rstrip(b"\r\n").split(b"\t")


def glue_split(task: Task, part: str, sources: tuple[Source, ...], on_bad: Callable[[BadRow], None]) -> Split:
    """A part of GLUE's own files or of those of the hub, whose columns the first file tells.

    Raises:
        UserError: If a column is missing.
    """
    first, held_back, label = sources[0], part.startswith("test"), task.label.column or "label"
    texts = [Column(name, pa.string(), Role.TEXT, _origin(task, name, first)) for name in task.text_columns]
    origin = _origin(task, label, first, may_lack=held_back)
    answer = Column(label, task.label.type, Role.LABEL if origin else Role.UNLABELLED, origin)
    numbered = "idx" in first.schema.names and first.schema.field("idx").type != pa.string()
    number = Column("idx", pa.int32(), Role.KEPT if numbered else Role.ROW_NUMBER)
    reader = LabelReader(task.label, held_back, first.class_names.get(label, ()))
    return Split(part, task, sources, Plan((*texts, answer, number), reader), on_bad)


def _origin(task: Task, column: str, source: Source, may_lack: bool = False) -> str | None:
    """The name of a column in the file: the classic one, or else the hub's; None for one that is missing."""
    names, classic = source.schema.names, task.file_columns.get(column, column)
    if may_lack or classic in names or column in names:
        return next((name for name in (classic, column) if name in names), None)
    remedy = (
        "For files of your own use --task custom with --text and --label."
        if source.path.suffix.lower() in _OTHER_FORMATS
        else "Fields must be separated by tabs, as in GLUE's own files."
    )
    raise UserError(
        f"{source.place}: expected the column {classic!r} of {task.name}, found the header "
        f"{listed(map(repr, names))}. {remedy}"
    )
