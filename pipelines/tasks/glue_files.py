"""GLUE's classic TSV files: where they are and which of their columns are which."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.glue import plain_name
from pipelines.tasks.labels import LabelReader
from pipelines.tasks.readers.lines import physical_lines
from pipelines.tasks.readers.source import Column, Plan, Role
from pipelines.tasks.readers.tsv import tsv_source
from pipelines.tasks.split import Split
from pipelines.tasks.task import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipelines.tasks.rows import RowSource
    from pipelines.tasks.task import BadRow, Task

_CLASSIC_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "mrpc": {"sentence1": "#1 String", "sentence2": "#2 String", "label": "Quality"},
        "stsb": {"label": "score"},
        "qqp": {"label": "is_duplicate"},
        "mnli": {"premise": "sentence1", "hypothesis": "sentence2", "label": "gold_label"},
    }
)
"""Columns of the classic files whose names differ from the hub's."""

_COLA_COLUMNS = ("source", "label", "star", "sentence")
"""CoLA's train and dev files have no header."""

_MORE_FILES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"mrpc": {"train": "msr_paraphrase_train.txt", "test": "msr_paraphrase_test.txt"}}
)
"""Files under the name that their publisher gave them."""

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
        f"{data}: expected {listed(task.splits.values())}, or a folder such as {task.name.upper()}/ with them; "
        f"found {listed(sorted(child.name for child in data.iterdir()))}. Name the right folder with --data."
    )


def _parts(task: Task, folder: Path) -> dict[str, Path]:
    more = _MORE_FILES.get(task.name, {})
    found: dict[str, Path] = {}
    for part, usual in task.splits.items():
        for name in (usual, more.get(part)):
            if name is not None and (folder / name).is_file():
                found.setdefault(part, folder / name)
    return found


def open_glue_file(task: Task, part: str, path: Path, on_bad: Callable[[BadRow], None]) -> Split:
    """Opens the file of one part.

    Raises:
        UserError: If it cannot be read or lacks a column.
    """
    held_back = part.startswith("test")
    source = tsv_source(path, path.name, _COLA_COLUMNS if _lacks_header(task, held_back, path) else None)
    return Split(part, task, (source,), _plan(task, source, held_back), on_bad)


def _lacks_header(task: Task, held_back: bool, path: Path) -> bool:
    if task.name != "cola" or held_back:
        return False
    _, first = next(physical_lines(path), (1, b""))
    return b"sentence" not in first.rstrip(b"\r\n").split(b"\t")


def _plan(task: Task, source: RowSource, held_back: bool) -> Plan:
    texts = [Column(name, pa.string(), Role.TEXT, _origin(task, name, source)) for name in task.text_columns]
    label = task.label.column or "label"
    kind = pa.int64() if task.label.kind == "class" else pa.float32()
    if held_back and not _known(task, label, source):
        answer = Column(label, kind, Role.UNLABELLED)
    else:
        answer = Column(label, kind, Role.LABEL, _origin(task, label, source))
    number = Column("idx", pa.int32(), Role.ROW_NUMBER)
    return Plan((*texts, answer, number), LabelReader(task.label, may_lack=held_back))


def _origin(task: Task, column: str, source: RowSource) -> str:
    """The name of a column in the file: the classic one, or else the hub's."""
    known = _known(task, column, source)
    if not known:
        remedy = (
            "For files of your own use --task custom with --text and --label."
            if source.path.suffix.lower() in _OTHER_FORMATS
            else "Fields must be separated by tabs, as in GLUE's own files."
        )
        expected = _CLASSIC_NAMES.get(task.name, {}).get(column, column)
        raise UserError(
            f"{source.path}: expected the column {expected!r} of {task.name}, found the header "
            f"{listed(map(repr, source.schema.names))}. {remedy}"
        )
    return known[0]


def _known(task: Task, column: str, source: RowSource) -> list[str]:
    classic = _CLASSIC_NAMES.get(task.name, {}).get(column, column)
    return [name for name in (classic, column) if name in source.schema.names]
