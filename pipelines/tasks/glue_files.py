"""GLUE's classic TSV files: where they are and which of their columns are which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.glue import plain_name
from pipelines.tasks.labels import LabelReader
from pipelines.tasks.readers.delimited import delimited_source
from pipelines.tasks.readers.lines import Lines
from pipelines.tasks.readers.source import Column, Plan, Role, Source
from pipelines.tasks.split import Split
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.tasks.task import BadRow, Task

_OTHER_FORMATS = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")


def glue_files(task: Task, data: Path) -> dict[str, Path]:
    """The files of a task by part, in a folder, in the task's folder inside it, or a file as the train part.

    Raises:
        UserError: If there are none.
    """
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
    held_back = part.startswith("test")
    header = () if held_back or _has_header(task, path) else task.headerless
    source = delimited_source(path, path.name, "\t", quoted=False, header=header)
    return Split(part, task, (source,), _plan(task, source, held_back), on_bad)


def _has_header(task: Task, path: Path) -> bool:
    _, first = next(iter(Lines(path)), (1, b""))
    return not task.headerless or task.text_columns[0].encode() in first.rstrip(b"\r\n").split(b"\t")


def _plan(task: Task, source: Source, held_back: bool) -> Plan:
    texts = [Column(name, pa.string(), Role.TEXT, _origin(task, name, source)) for name in task.text_columns]
    label = task.label.column or "label"
    kind = pa.int64() if task.label.kind == "class" else pa.float32()
    if held_back and not _known(task, label, source):
        answer = Column(label, kind, Role.UNLABELLED)
    else:
        answer = Column(label, kind, Role.LABEL, _origin(task, label, source))
    number = Column("idx", pa.int32(), Role.ROW_NUMBER)
    return Plan((*texts, answer, number), LabelReader(task.label, may_lack=held_back))


def _origin(task: Task, column: str, source: Source) -> str:
    """The name of a column in the file: the classic one, or else the hub's."""
    known = _known(task, column, source)
    if not known:
        remedy = (
            "For files of your own use --task custom with --text and --label."
            if source.path.suffix.lower() in _OTHER_FORMATS
            else "Fields must be separated by tabs, as in GLUE's own files."
        )
        expected = task.file_columns.get(column, column)
        raise UserError(
            f"{source.path}: expected the column {expected!r} of {task.name}, found the header "
            f"{listed(map(repr, source.schema.names))}. {remedy}"
        )
    return known[0]


def _known(task: Task, column: str, source: Source) -> list[str]:
    classic = task.file_columns.get(column, column)
    return [name for name in (classic, column) if name in source.schema.names]
