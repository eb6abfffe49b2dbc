"""Tasks made of a user's own files: CSV, TSV, JSON lines, Parquet, Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.columnar import is_text
from pipelines.tasks.csv_reader import csv_source
from pipelines.tasks.custom_files import ARROW, custom_files
from pipelines.tasks.jsonl import jsonl_source
from pipelines.tasks.jsonl_types import MIXED, widest
from pipelines.tasks.labels import LabelReader, discover_classes, plain_name
from pipelines.tasks.lines import split_name
from pipelines.tasks.parquet_reader import ParquetSource, arrow_source, parquet_source
from pipelines.tasks.rows import RowSource
from pipelines.tasks.source import Column, Plan, Role, Source
from pipelines.tasks.split import OpenTask, Split
from pipelines.tasks.task import LABEL_KINDS, OUR_COLUMNS, Label, Task, listed, near
from pipelines.tasks.tsv import tsv_source
from pipelines.tasks.tsv_quoting import quoted_source

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
        names = {plain_name(name) for name in self.label_names}
        if not all(names) or len(names) != len(self.label_names):
            raise UserError(f"--label-names: expected different names, found {listed(self.label_names)}.")


def open_custom(data: Path, options: CustomOptions, on_bad: Callable[[BadRow], None]) -> OpenTask:
    """Finds the parts of a custom task; where classes are not named, reads the train part's labels once.

    Raises:
        UserError: If files or columns are missing, or the label is no class and no score.
    """
    files = custom_files(data)
    found = _label(options, files, data, on_bad)
    task = Task("custom", options.text, found.label)
    parts = {part: partial(_open_part, found, part, paths, data, options, on_bad) for part, paths in files.items()}
    expected = "a file named {}.csv, .tsv, .jsonl or .parquet".format
    return OpenTask(task, parts, expected, str(data), label_note=found.note)


@dataclass(frozen=True)
class _Found:
    """The label of a task, whether the order of its classes was told, and what to say of it."""

    label: Label
    ordered: bool = True
    note: str = ""


def _sources(paths: tuple[Path, ...], data: Path, options: CustomOptions) -> tuple[Source, ...]:
    """The opened files of a part; they must have the same columns, but JSON lines may lack some."""
    sources = tuple(_source(path, data, options) for path in paths)
    lines = all(isinstance(source, RowSource) and source.may_lack for source in sources)
    own = {*options.text, options.label}
    for source in sources:
        _check_columns(source, options)
        if not lines and not _agree(source.schema, sources[0].schema, own):
            raise UserError(
                f"{source.place}: expected the columns of {sources[0].place} ({_described(sources[0])}), found "
                f"{_described(source)}. Files of one part must agree."
            )
    return sources


def _agree(one: pa.Schema, other: pa.Schema, own: set[str | None]) -> bool:
    """Whether two files have the same columns, those beside text and label with types that another holds."""
    kept = [name for name in other.names if name not in own]
    return set(one.names) == set(other.names) and all(
        widest([one.field(name).type, other.field(name).type]) != MIXED for name in kept
    )


def _described(source: Source) -> str:
    return listed(f"{field.name} {field.type}" for field in source.schema)


def _source(path: Path, data: Path, options: CustomOptions) -> Source:
    name = path.name if path == data else path.relative_to(data).as_posix()
    suffix = split_name(path)[1]
    if suffix == ".csv":
        return csv_source(path, name)
    if suffix == ".tsv":
        return quoted_source(path, name) or tsv_source(path, name)
    if suffix == ".parquet":
        return parquet_source(path, name)
    if suffix in ARROW:
        return arrow_source(path, name)
    return jsonl_source(path, name, options.text)


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
            what = "a list of tokens, which is not supported: join them" if pa.types.is_nested(found) else str(found)
            raise UserError(f"{source.place}: expected text in column {column!r}, found {what}, or name another.")


def _label(
    options: CustomOptions, files: dict[str, tuple[Path, ...]], data: Path, on_bad: Callable[[BadRow], None]
) -> _Found:
    if options.label is None:
        return _Found(Label(None, "none"))
    if options.label_type == "score":
        return _Found(Label(options.label, "score"))
    if options.label_names is not None:
        return _Found(Label(options.label, "class", tuple(name.strip() for name in options.label_names)))
    if "train" not in files:
        raise UserError(
            f"{data}: expected a train part to find the classes of {options.label!r} in, found "
            f"{listed(files)}. Pass --label-names."
        )
    sources = _sources(files["train"], data, options)
    for source in sources:
        _check_label(source, options.label)
    if stored := _stored_names(sources, options.label):
        return _Found(Label(options.label, "class", stored))
    values = chain.from_iterable(source.values(options.label) for source in sources)
    label, note = discover_classes(options.label, values, sure=options.label_type == "class")
    if label is not None:
        return _Found(label, ordered=False, note=note)
    _refuse_without_rows(sources, options, on_bad)
    raise UserError(f"label column {options.label!r}: expected labels, found none. Name another with --label.")


def _refuse_without_rows(sources: tuple[Source, ...], options: CustomOptions, on_bad: Callable[[BadRow], None]) -> None:
    """Says so if there are no labels because there are no rows, or none that can be read."""
    task = Task("custom", options.text, Label(None, "none"))
    columns = tuple(_column(field, task) for field in _schema(sources, task) if field.name in options.text)
    for _ in Split("train", task, sources, Plan(columns, None), on_bad).batches():
        return


def _check_label(source: Source, column: str) -> None:
    names = source.schema.names
    if column not in names:
        raise UserError(
            f"{source.place}: expected the label column {column!r}, found columns {listed(names)}."
            f"{near(column, names)} Name it with --label."
        )
    if pa.types.is_nested(found := source.schema.field(column).type):
        raise UserError(
            f"{source.place}: expected one label a row in column {column!r}, found {found}: several labels a row, or "
            "one for each token, are not supported. Name another with --label."
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
    found: _Found,
    part: str,
    paths: tuple[Path, ...],
    data: Path,
    options: CustomOptions,
    on_bad: Callable[[BadRow], None],
) -> Split:
    sources = _sources(paths, data, options)
    task = Task("custom", options.text, found.label)
    return Split(part, task, sources, _plan(task, sources, part == "test", found.ordered), on_bad)


def _schema(sources: tuple[Source, ...], task: Task) -> pa.Schema:
    """All columns of a part's files with the types that hold what each of them has."""
    schemas = [source.schema for source in sources]
    names = dict.fromkeys(name for schema in schemas for name in schema.names)
    kinds = {name: [schema.field(name).type for schema in schemas if name in schema.names] for name in names}
    own = {*task.text_columns, task.label.column}
    return pa.schema([(name, found[0] if name in own else widest(found)) for name, found in kinds.items()])


def _plan(task: Task, sources: tuple[Source, ...], held_back: bool, ordered: bool) -> Plan:
    schema, label = _schema(sources, task), task.label
    if label.column is None:
        return Plan(tuple(_column(field, task) for field in schema), None)
    columns = [_column(field, task) for field in schema]
    if label.column not in schema.names and held_back:
        columns.append(Column(label.column, _label_type(task), Role.UNLABELLED))
    else:
        for source in sources:
            _check_label(source, label.column)
    reader = LabelReader(label, held_back, _stored_names(sources, label.column), ordered)
    return Plan(tuple(columns), reader)


def _column(field: pa.Field, task: Task) -> Column:
    if field.name in task.text_columns:
        return Column(field.name, pa.string(), Role.TEXT, field.name)
    if field.name == task.label.column:
        return Column(field.name, _label_type(task), Role.LABEL, field.name)
    if field.type == MIXED:
        return Column(field.name, pa.string(), Role.JSON, field.name)
    return Column(field.name, field.type, Role.KEPT, field.name)


def _label_type(task: Task) -> pa.DataType:
    return pa.int64() if task.label.kind == "class" else pa.float32()
