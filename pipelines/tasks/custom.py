"""Tasks made of a user's own files: CSV, TSV, JSON lines, Parquet, Arrow."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.custom_files import ARROW, FORMATS, custom_files
from pipelines.tasks.dev_split import split_off
from pipelines.tasks.features import is_augmented
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


MOST_OF_A_NAME = 40  # characters; what is longer is rather a text


@dataclass(frozen=True)
class CustomOptions:
    """What the user says of a custom task.

    Attributes:
        text: The text columns, in order.
        label: The label column; None: there is none.
        label_type: "class", "score" or "none"; None: by the column's values.
        label_names: Class names in order; None: found in the train part.
        every: One row of so many is read, about; 1: all.
        dev_split: Share of the train rows that becomes the dev part; None: there is one, or none.

    Raises:
        UserError: If they contradict each other.
    """

    text: tuple[str, ...]
    label: str | None = None
    label_type: str | None = None
    label_names: tuple[str, ...] | None = None
    every: int = 1
    dev_split: float | None = None

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
    quoted, notes = find_quoting(path for paths in files.values() for path in paths if split_name(path)[1] == ".tsv")
    reader = _Reader(data, files, options, quoted, on_bad)
    found = reader.find_label()
    parts = {part: partial(reader.open_part, part, found) for part in files}
    expected = f"a file named {{}} with a suffix of {listed(FORMATS)}".format
    opened = OpenTask(reader.task(found.label), parts, expected, str(data), read_notes=(*found.notes, *notes))
    return opened if options.dev_split is None else split_off(opened, options.dev_split)


@dataclass(frozen=True)
class _Found:
    """The label of a task, whether the order of its classes was told, and what to say of it."""

    label: Label
    ordered: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Reader:
    """The files of a task, whether its .tsv files are quoted, and what the user says of them and of bad rows."""

    data: Path
    files: dict[str, tuple[Path, ...]]
    options: CustomOptions
    quoted: bool
    on_bad: Callable[[BadRow], None]
    _opened: dict[str, tuple[Source, ...]] = field(default_factory=dict)

    def task(self, label: Label) -> Task:
        return Task("custom", self.options.text, label, dev_split=self.options.dev_split)

    def find_label(self) -> _Found:
        options = self.options
        if options.label is None:
            return _Found(Label(None, "none"))
        if options.label_type == "score":
            return _Found(Label(options.label, "score"))
        if options.label_names is not None:
            return _Found(Label(options.label, "class", tuple(name.strip() for name in options.label_names)))
        if "train" not in self.files:
            raise UserError(
                f"{self.data}: expected a train part to find the classes of {options.label!r} in, found "
                f"{listed(self.files)}. Pass --label-names."
            )
        sources = self._sources("train")
        _check_label(sources, options.label)
        if stored := _stored_names(sources, options.label):
            return _Found(Label(options.label, "class", stored))
        values = chain.from_iterable(distinct_values(source, options.label) for source in sources)
        label, notes = discover_classes(options.label, values, sure=options.label_type == "class")
        if label is not None:
            return _Found(label, ordered=False, notes=notes)
        for _ in self.open_part("train", _Found(Label(None, "none"))).batches():  # says so if no row can be read
            break
        raise UserError(f"label column {options.label!r}: expected labels, found none. Name another with --label.")

    def open_part(self, part: str, found: _Found) -> Split:
        """One part, whose label is known."""
        sources, label, task = self._sources(part), found.label, self.task(found.label)
        columns = [_column(name, kind, task) for name, kind in _types(sources, task).items()]
        reader = None
        if label.column is not None:
            if part == "test" and label.column not in {column.name for column in columns}:
                columns.append(Column(label.column, label.type, Role.UNLABELLED))
            else:
                _check_label(sources, label.column)
            names = _stored_names(sources, label.column)
            reader = LabelReader(label, part == "test", names, found.ordered, can_name=True)
        return Split(part, task, sources, Plan(tuple(columns), reader), self.on_bad)

    def _sources(self, part: str) -> tuple[Source, ...]:
        """The opened files of a part; they must have the same columns, but JSON lines may lack some."""
        if part not in self._opened:
            first, *others = sources = tuple(map(self._source, self.files[part]))
            for source in sources:
                _check_columns(source, self.options)
            for source in others:
                if not source.may_lack and set(source.schema.names) != set(first.schema.names):
                    raise UserError(
                        f"{source.place}: expected the columns of {first.place} ({listed(first.schema.names)}), "
                        f"found {listed(source.schema.names)}. Files of one part must agree."
                    )
            self._opened[part] = sources
        return self._opened[part]

    def _source(self, path: Path) -> Source:
        name = path.name if path == self.data else path.relative_to(self.data).as_posix()
        suffix, every = split_name(path)[1], self.options.every
        if suffix in (".csv", ".tsv"):
            is_csv = suffix == ".csv"
            source = delimited_source(path, name, "," if is_csv else "\t", quoted=is_csv or self.quoted)
        elif suffix in (".parquet", *ARROW):
            source = parquet_source(path, name) if suffix == ".parquet" else arrow_source(path, name)
        else:
            source = jsonl_source(path, name, self.options.text, every)
        return source if every == 1 else source.sampled(every)


def _check_columns(source: Source, options: CustomOptions) -> None:
    names = source.schema.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{source.place}: expected different column names, found twice: {listed(twice)}. Rename one.")
    ours = [name for name in names if name in OUR_COLUMNS]
    if ours and not is_augmented(source.schema):
        raise UserError(
            f"{source.place}: expected no column named {listed(OUR_COLUMNS)}, which we add; found "
            f"{listed(ours)}. Rename it."
        )
    for column in options.text:
        _require(source, column, "text")
        if not is_text(found := source.schema.field(column).type):
            what = "a list of tokens, which is not supported: join them" if pa.types.is_nested(found) else str(found)
            raise UserError(f"{source.place}: expected text in column {column!r}, found {what}, or name another.")


def _check_label(sources: tuple[Source, ...], column: str) -> None:
    for source in sources:
        _require(source, column, "label")
        if pa.types.is_nested(found := source.schema.field(column).type):
            raise UserError(
                f"{source.place}: expected one label a row in column {column!r}, found {found}: several labels a row, "
                "or one for each token, are not supported. Name another with --label."
            )


def _require(source: Source, column: str, what: str) -> None:
    names = source.schema.names
    if column not in names:
        remedy = _header_hint(source) or f"{near(column, names)} Name it with --{what}."
        raise UserError(
            f"{source.place}: expected the {what} column {column!r}, found columns {listed(names)}.{remedy}"
        )


def _header_hint(source: Source) -> str:
    """What seems to be wrong with the first line of a file that should name the columns; empty for nothing."""
    names, kind = source.schema.names, split_name(source.path)[1]
    if kind not in (".csv", ".tsv"):
        return ""
    for mark in ";\t|,":
        if len(names) == 1 and mark in names[0]:
            apart = "tabs" if kind == ".tsv" else "commas"
            return f" Its columns seem to be separated by {mark!r}: write the file with {apart} between them."
    if any(name.strip().replace(".", "").isdecimal() or len(name) > MOST_OF_A_NAME for name in names):
        return " Its first line looks like a row: write the names of the columns above it."
    return ""


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


def _types(sources: tuple[Source, ...], task: Task) -> dict[str, pa.DataType]:
    """The type of each column of a part's files that holds what all of them have; MIXED where there is none."""
    found = {}
    names = (name for source in sources for name in source.schema.names)
    for name in dict.fromkeys(name for name in names if name not in OUR_COLUMNS):
        kinds = {source.place: source.schema.field(name).type for source in sources if name in source.schema.names}
        found[name] = next(iter(kinds.values()))
        if name not in (*task.text_columns, task.label.column):
            kind = widest(kinds.values())
            others = [source for source in sources if kinds.get(source.place, kind) != kind]
            values = chain.from_iterable(distinct_values(source, name) for source in others)
            found[name] = kind if holds_integers(kind, values) else MIXED
    return found


def _column(name: str, kind: pa.DataType, task: Task) -> Column:
    if name in task.text_columns:
        return Column(name, pa.string(), Role.TEXT)
    if name == task.label.column:
        return Column(name, task.label.type, Role.LABEL)
    return Column(name, pa.string(), Role.JSON) if kind == MIXED else Column(name, kind, Role.KEPT)
