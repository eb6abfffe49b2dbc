"""What a task is: its text columns, its label, its parts; and what is said of a row that cannot be read."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import pyarrow as pa

from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEV = "validation"  # what the names of dev parts begin with
AUGMENTED_COLUMNS = ("source_idx", "variant", "edits")
"""Columns that augmented rows add to a task's own."""

OUR_COLUMNS = (*AUGMENTED_COLUMNS, "__texts")
"""The same with the one that the input snapshot adds."""

ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
"""The answers of a question as the hub has them: texts, and the code points of the context where they start."""

LABEL_KINDS = ("class", "score", "none")
UNLABELLED = -1
"""The label of a test row that has none, as on the hub."""

NO_UTF8 = "expected UTF-8"
CONVERT = "if the file is in another encoding, such as latin-1, convert it with `iconv -f LATIN1 -t UTF-8`"

TEXT_SHOWN = 200
"""Characters of a bad row that are kept."""


@dataclass(frozen=True)
class Label:
    """The label of a task.

    Attributes:
        column: Its name in the rows; None where the task has no label.
        kind: "class", "score", "span" (answers in a text, of SQuAD) or "none".
        names: Class names; a row holds the position (0-based) of its class in them.
        low: The least score that is valid; None: no bound.
        high: The greatest score that is valid; None: no bound.
    """

    column: str | None
    kind: str
    names: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def type(self) -> pa.DataType:
        """The Arrow type of the rows' labels."""
        return {"class": pa.int64(), "span": ANSWERS}.get(self.kind, pa.float32())

    @property
    def is_span(self) -> bool:
        """Whether rows have answers in their text in place of a label."""
        return self.kind == "span"


@dataclass(frozen=True)
class Task:
    """A task: where its text and its label are, and how it is augmented, learned, judged and submitted.

    Attributes:
        name: "sst2", "mnli", … or "custom".
        text_columns: One or two (or more, for custom tasks) columns of text, in order.
        label: The label.
        splits: Part (hub name) to the names that its file may have, the usual one first; empty for custom tasks.
        file_columns: Column to its name in GLUE's own files, where that differs.
        headerless: Columns of GLUE's own train and dev files, where these have no header.
        metrics: Names of metrics (`distill.metrics.Metric`); the first one selects the best epoch.
        intermediate: Epochs and batch size of the intermediate stage (section 4.2 of the paper).
        official_n: Variants of each example in the authors' published code.
        submission: Files that the GLUE server expects, one for each test part in order.
        submits_names: Whether the server expects the names of classes, not their numbers.
        dev_split: Share of the train rows that is the dev part; None where a file of its own is, or none.
    """

    name: str
    text_columns: tuple[str, ...]
    label: Label
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    file_columns: Mapping[str, str] = field(default_factory=dict)
    headerless: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("accuracy",)
    intermediate: tuple[int, int] = (10, 32)
    official_n: int = 20
    submission: tuple[str, ...] = ()
    submits_names: bool = False
    dev_split: float | None = None

    @property
    def submitted(self) -> dict[str, str]:
        """Part to the file that the GLUE server expects; empty for other tasks."""
        return dict(zip((part for part in self.splits if part.startswith("test")), self.submission, strict=False))


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read.

    Attributes:
        file: The file, as the user named it.
        line: Physical line (1-based) where the row starts; None where the format has no lines.
        source_idx: The row's number in the input, which may be several files (0-based; bad rows count).
        column: The column at fault; None where it is the whole row.
        error: What was expected and what was found.
        text: The row's first 200 characters.
        row: The row's number in its file (0-based), which says where it is in a format without lines.
    """

    file: str
    line: int | None
    source_idx: int
    column: str | None
    error: str
    text: str
    row: int = 0

    @property
    def place(self) -> str:
        """Where the row is, in words."""
        where = f"line {self.line}" if self.line is not None else f"row {self.row}"
        return f"{self.file}, {where}" + (f", column {self.column!r}" if self.column is not None else "")

    @property
    def correct(self) -> str:
        """How advice begins: a file of text that is no UTF-8 may have another encoding as a whole."""
        is_encoded = self.line is not None and self.error.startswith(NO_UTF8)
        return f"I{CONVERT[1:]}; else correct the row" if is_encoded else "Correct the row"


@dataclass(frozen=True)
class InputFile:
    """A file that was read.

    Attributes:
        name: Its name inside the data folder, without machine paths.
        bytes: Its size.
        sha256: The digest of its bytes, hexadecimal.
        rows: Its rows, bad ones included; None until they have been counted.
    """

    name: str
    bytes: int
    sha256: str
    rows: int | None


class RowError(ValueError):
    """A value of a row is not what its column holds.

    Attributes:
        column: The column at fault; None where it is the whole row.
    """

    def __init__(self, column: str | None, message: str) -> None:
        super().__init__(message)
        self.column = column


def stop_at_bad_row(bad: BadRow) -> NoReturn:
    """The default policy for bad rows: the first one stops the job.

    Raises:
        UserError: Always; it names file, line and column.
    """
    raise UserError(f"{bad.place}: {bad.error}. {bad.correct}, or take it out of the file.")


def stop_or_skip(bad: BadRow) -> NoReturn:
    """The same for verbs that have the option to go on without such rows.

    Raises:
        UserError: Always; it names file, line and column, and the way round.
    """
    raise UserError(
        f"{bad.place}: {bad.error}. {bad.correct}, or pass --on-bad-row skip, which moves such rows "
        "to rejected.parquet and goes on."
    )


def pass_over(bad: BadRow) -> None:
    """The policy of what comes after a stage that wrote the bad rows down: they are left out."""


def shown(value: object, width: int = 60) -> str:
    """A value of the input as it stands in a message: quoted, and cut to `width` characters."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= width else text[:width] + "…")


def wrong_byte(data: bytes) -> str:
    """What is wrong with bytes that are no UTF-8."""
    try:
        return f"expected bytes that are no UTF-8, found {shown(data.decode('utf-8'))}"
    except UnicodeDecodeError as error:
        return f"{NO_UTF8}, found byte 0x{data[error.start]:02x}"


def listed(names: Iterable[str], most: int = 30) -> str:
    """Names as they stand in a message; the first `most` of them."""
    every = list(names)
    tail = f", … ({len(every)} in all)" if len(every) > most else ""
    return (", ".join(every[:most]) or "none") + tail


def plain_name(name: str) -> str:
    """A task's or folder's name without case and punctuation: "STS-B" → "stsb"."""
    return re.sub(r"[\W_]+", "", name).lower()


def near(name: str, names: Iterable[str]) -> str:
    """A sentence that offers the name closest to `name`, or nothing; case and punctuation are ignored."""
    by_plain = {plain_name(candidate): candidate for candidate in names}
    close = difflib.get_close_matches(plain_name(name), by_plain, n=1)
    return f" Did you mean {by_plain[close[0]]!r}?" if close else ""
