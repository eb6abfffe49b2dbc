"""Tasks made of a user's own files: CSV, TSV, JSON lines, Parquet, Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.custom_files import ARROW, FORMATS, custom_files
from pipelines.tasks.labels import LabelReader, discover_classes, plain_name
from pipelines.tasks.readers.columnar import distinct_values, is_text
from pipelines.tasks.readers.delimited import delimited_source
from pipelines.tasks.readers.jsonl import jsonl_source
from pipelines.tasks.readers.jsonl_types import MIXED, holds_integers, widest
from pipelines.tasks.readers.lines import split_name
from pipelines.tasks.readers.parquet_reader import arrow_source, parquet_source
from pipelines.tasks.readers.source import Column, Plan, Role, Source
from pipelines.tasks.readers.tsv_quoting import find_quoting
from pipelines.tasks.split import OpenTask, Split
from pipelines.tasks.task import LABEL_KINDS, OUR_COLUMNS, Label, Task, listed, near

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
    quoted, note = find_quoting(path for paths in files.values() for path in paths if split_name(path)[1] == ".tsv")
    given = _Input(data, files, options, quoted, on_bad)
    found = _label(given)
    parts = {part: partial(_open_part, given, found, part) for part in files}
    notes = (*found.notes, note) if note else found.notes
    expected = f"a file named {{}} with a suffix of {listed(FORMATS)}".format
    return OpenTask(Task("custom", options.text, found.label), parts, expected, str(data), read_notes=notes)


@dataclass(frozen=True)
class _Input:
    """The files of a task, whether its .tsv files are quoted, and what the user says of them and of bad rows."""

    data: Path
    files: dict[str, tuple[Path, ...]]
    options: CustomOptions
    quoted: bool
    on_bad: Callable[[BadRow], None]


@dataclass(frozen=True)
class _Found:
    """The label of a task, whether the order of its classes was told, and what to say of it."""

    label: Label
    ordered: bool = True
    notes: tuple[str, ...] = ()


def _sources(given: _Input, part: str) -> tuple[Source, ...]:
    """The opened files of a part; they must have the same columns, but JSON lines may lack some."""
    sources = tuple(_source(path, given) for path in given.files[part])
    lines = all(source.may_lack for source in sources)
    for source in sources:
        _check_columns(source, given.options)
        if not lines and set(source.schema.names) != set(sources[0].schema.names):
            raise UserError(
                f"{source.place}: expected the columns of {sources[0].place} ({listed(sources[0].schema.names)}), "
                f"found {listed(source.schema.names)}. Files of one part must agree."
            )
    return sources


def _source(path: Path, given: _Input) -> Source:
    name = path.name if path == given.data else path.relative_to(given.data).as_posix()
    suffix = split_name(path)[1]
    if suffix in (".csv", ".tsv"):
        is_csv = suffix == ".csv"
        return delimited_source(path, name, "," if is_csv else "\t", quoted=is_csv or given.quoted)
    if suffix == ".parquet":
        return parquet_source(path, name)
    if suffix in ARROW:
        return arrow_source(path, name)
    return jsonl_source(path, name, given.options.text)


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


def _label(given: _Input) -> _Found:
    options = given.options
    if options.label is None:
        return _Found(Label(None, "none"))
    if options.label_type == "score":
        return _Found(Label(options.label, "score"))
    if options.label_names is not None:
        return _Found(Label(options.label, "class", tuple(name.strip() for name in options.label_names)))
    if "train" not in given.files:
        raise UserError(
            f"{given.data}: expected a train part to find the classes of {options.label!r} in, found "
            f"{listed(given.files)}. Pass --label-names."
        )
    sources = _sources(given, "train")
    for source in sources:
        _check_label(source, options.label)
    if stored := _stored_names(sources, options.label):
        return _Found(Label(options.label, "class", stored))
    values = chain.from_iterable(distinct_values(source, options.label) for source in sources)
    label, notes = discover_classes(options.label, values, sure=options.label_type == "class")
    if label is not None:
        return _Found(label, ordered=False, notes=notes)
    _refuse_without_rows(sources, given)
    raise UserError(f"label column {options.label!r}: expected labels, found none. Name another with --label.")


def _refuse_without_rows(sources: tuple[Source, ...], given: _Input) -> None:
    """Says so if there are no labels because there are no rows, or none that can be read."""
    task = Task("custom", given.options.text, Label(None, "none"))
    columns = tuple(_column(field, task) for field in _schema(sources, task) if field.name in task.text_columns)
    for _ in Split("train", task, sources, Plan(columns, None), given.on_bad).batches():
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
    names = [source.class_names.get(column, ()) for source in sources]
    for source, found in zip(sources, names, strict=True):
        if found != names[0]:
            raise UserError(
                f"{source.place}: expected the stored class names of {sources[0].place} for {column!r}, found "
                "others. Files of one part must agree; write them anew with the same features."
            )
    return names[0]


def _open_part(given: _Input, found: _Found, part: str) -> Split:
    sources = _sources(given, part)
    task = Task("custom", given.options.text, found.label)
    return Split(part, task, sources, _plan(task, sources, part == "test", found.ordered), given.on_bad)


def _schema(sources: tuple[Source, ...], task: Task) -> pa.Schema:
    """All columns of a part's files with the types that hold what each of them has; MIXED where there is none."""
    own = {*task.text_columns, task.label.column}
    fields = []
    for name in dict.fromkeys(name for source in sources for name in source.schema.names):
        holders = [source for source in sources if name in source.schema.names]
        kinds = [source.schema.field(name).type for source in holders]
        kind = kinds[0] if name in own else widest(kinds)
        others = [source for source, own_kind in zip(holders, kinds, strict=True) if own_kind != kind]
        values = chain.from_iterable(distinct_values(source, name) for source in others)
        fields.append((name, kind if name in own or holds_integers(kind, values) else MIXED))
    return pa.schema(fields)


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
    reader = LabelReader(label, held_back, _stored_names(sources, label.column), ordered, can_name=True)
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
