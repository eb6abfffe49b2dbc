"""Tasks made of a user's own files: CSV, TSV, JSON lines, Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.columnar import is_text
from pipelines.tasks.csv_reader import csv_source
from pipelines.tasks.custom_files import custom_files
from pipelines.tasks.jsonl import jsonl_source
from pipelines.tasks.labels import LabelReader, discover_classes
from pipelines.tasks.parquet_reader import ParquetSource, parquet_source
from pipelines.tasks.source import Column, Plan, Role, Source
from pipelines.tasks.split import OpenTask, Split
from pipelines.tasks.task import LABEL_KINDS, OUR_COLUMNS, Label, Task, listed, near
from pipelines.tasks.tsv import tsv_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.tasks.task import BadRow


@dataclass(frozen=True)
class CustomOptions:
    """What the user says of a custom task.

    Attributes:
        text: The text columns, in order.
        label: The label column; None: there is none.
        label_type: "class", "score" or "none"; None: by the column's values.
        label_names: Class names in order; None: found in the train part.

    Raises:
        UserError: If they contradict each other.
    """

    text: tuple[str, ...]
    label: str | None = None
    label_type: str | None = None
    label_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.text:
            raise UserError("expected a text column, found none. Name one with --text COLUMN (twice for pairs).")
        if twice := sorted({name for name in self.text if self.text.count(name) > 1}):
            raise UserError(f"--text: expected different columns, found {listed(twice)} twice. Name each column once.")
        if self.label in self.text:
            raise UserError(f"--label: expected another column than --text, found {self.label}. Name a different one.")
        if self.label_type not in (None, *LABEL_KINDS):
            raise UserError(f"--label-type: expected {', '.join(LABEL_KINDS)}; found {self.label_type!r}.")
        if self.label_type is not None and (self.label is None) != (self.label_type == "none"):
            remedy = "Name the label column with --label." if self.label is None else "Leave out --label."
            raise UserError(f"--label-type {self.label_type} does not go with --label {self.label}. {remedy}")
        self._check_names()

    def _check_names(self) -> None:
        if self.label_names is None:
            return
        if self.label is None or self.label_type == "score":
            raise UserError("--label-names: expected a label column of classes. Name it with --label COLUMN.")
        if not all(self.label_names) or len(set(self.label_names)) != len(self.label_names):
            raise UserError(f"--label-names: expected different names, found {listed(self.label_names)}.")


def open_custom(data: Path, options: CustomOptions, on_bad: Callable[[BadRow], None]) -> OpenTask:
    """Finds the parts of a custom task; where classes are not named, reads the train part's labels once.

    Raises:
        UserError: If files or columns are missing, or the label is no class and no score.
    """
    files = custom_files(data)
    label = _label(options, files, data, on_bad)
    task = Task("custom", options.text, label)
    parts = {part: partial(_open_part, task, part, paths, data, options, on_bad) for part, paths in files.items()}
    return OpenTask(task, parts, lambda part: f"a file named {part}.csv, .tsv, .jsonl or .parquet", str(data))


def _sources(paths: tuple[Path, ...], data: Path, options: CustomOptions) -> tuple[Source, ...]:
    """The opened files of a part; they must agree in their columns."""
    sources = tuple(_source(path, data, options) for path in paths)
    for source in sources:
        _check_columns(source, options)
        if source.schema != sources[0].schema:
            raise UserError(
                f"{source.place}: expected the columns of {sources[0].place} ({_described(sources[0])}), found "
                f"{_described(source)}. Files of one part must agree."
            )
    return sources


def _described(source: Source) -> str:
    return listed(f"{field.name} {field.type}" for field in source.schema)


def _source(path: Path, data: Path, options: CustomOptions) -> Source:
    name = path.name if path == data else path.relative_to(data).as_posix()
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return csv_source(path, name)
    if suffix == ".tsv":
        return tsv_source(path, name)
    if suffix == ".parquet":
        return parquet_source(path, name)
    return jsonl_source(path, name, options.text, options.label)


def _check_columns(source: Source, options: CustomOptions) -> None:
    names = source.schema.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{source.place}: expected different column names, found twice: {listed(twice)}. Rename one.")
    if ours := [name for name in names if name in OUR_COLUMNS]:
        raise UserError(
            f"{source.place}: expected no column named {listed(OUR_COLUMNS)}, which we add; found "
            f"{listed(ours)}. Rename it."
        )
    for column in options.text:
        if column not in names:
            raise UserError(
                f"{source.place}: expected the text column {column!r}, found columns {listed(names)}."
                f"{near(column, names)} Name it with --text."
            )
        if not is_text(source.schema.field(column).type):
            found = source.schema.field(column).type
            raise UserError(f"{source.place}: expected text in column {column!r}, found {found}. Name another.")


def _label(
    options: CustomOptions, files: dict[str, tuple[Path, ...]], data: Path, on_bad: Callable[[BadRow], None]
) -> Label:
    if options.label is None:
        return Label(None, "none")
    if options.label_type == "score":
        return Label(options.label, "score")
    if options.label_names is not None:
        return Label(options.label, "class", options.label_names)
    if "train" not in files:
        raise UserError(
            f"{data}: expected a train part to find the classes of {options.label!r} in, found "
            f"{listed(files)}. Pass --label-names."
        )
    sources = _sources(files["train"], data, options)
    for source in sources:
        _check_label(source, options.label)
    if stored := _stored_names(sources, options.label):
        return Label(options.label, "class", stored)
    values = chain.from_iterable(source.values(options.label) for source in sources)
    found = discover_classes(options.label, values, sure=options.label_type == "class")
    if found is not None:
        return found
    _refuse_without_rows(sources, options, on_bad)
    raise UserError(f"label column {options.label!r}: expected labels, found none. Name another with --label.")


def _refuse_without_rows(sources: tuple[Source, ...], options: CustomOptions, on_bad: Callable[[BadRow], None]) -> None:
    """Says so if there are no labels because there are no rows, or none that can be read."""
    task = Task("custom", options.text, Label(None, "none"))
    columns = tuple(_column(field, task) for field in sources[0].schema if field.name in options.text)
    for _ in Split("train", task, sources, Plan(columns, None), on_bad).batches():
        return


def _check_label(source: Source, column: str) -> None:
    names = source.schema.names
    if column not in names:
        raise UserError(
            f"{source.place}: expected the label column {column!r}, found columns {listed(names)}."
            f"{near(column, names)} Name it with --label."
        )


def _stored_names(sources: tuple[Source, ...], column: str) -> tuple[str, ...]:
    """The class names that `datasets` stored with Parquet files; they must agree."""
    stored = [source for source in sources if isinstance(source, ParquetSource)]
    for source in stored:
        if source.class_names.get(column) != stored[0].class_names.get(column):
            raise UserError(
                f"{source.place}: expected the stored class names of {stored[0].place} for {column!r}, found "
                "others. Files of one part must agree; write them anew with the same features."
            )
    return stored[0].class_names.get(column, ()) if stored else ()


def _open_part(
    task: Task,
    part: str,
    paths: tuple[Path, ...],
    data: Path,
    options: CustomOptions,
    on_bad: Callable[[BadRow], None],
) -> Split:
    sources = _sources(paths, data, options)
    return Split(part, task, sources, _plan(task, sources, held_back=part == "test"), on_bad)


def _plan(task: Task, sources: tuple[Source, ...], held_back: bool) -> Plan:
    schema, label = sources[0].schema, task.label
    if label.column is None:
        return Plan(tuple(_column(field, task) for field in schema), None)
    columns = [_column(field, task) for field in schema]
    if label.column not in schema.names and held_back:
        columns.append(Column(label.column, _label_type(task), Role.UNLABELLED))
    else:
        _check_label(sources[0], label.column)
    reader = LabelReader(label, held_back, _stored_names(sources, label.column))
    return Plan(tuple(columns), reader)


def _column(field: pa.Field, task: Task) -> Column:
    if field.name in task.text_columns:
        return Column(field.name, pa.string(), Role.TEXT, field.name)
    if field.name == task.label.column:
        return Column(field.name, _label_type(task), Role.LABEL, field.name)
    return Column(field.name, field.type, Role.KEPT, field.name)


def _label_type(task: Task) -> pa.DataType:
    return pa.int64() if task.label.kind == "class" else pa.float32()
