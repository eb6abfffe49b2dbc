"""Rows of SQuAD as windows of tokens: one Parquet file, which training and judging read as they read any rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from distill.reading import Columns, open_shards
from pipelines.errors import UserError
from pipelines.run_folder.parquet import open_writer
from pipelines.tasks.squad import ANSWERS, CONTEXT, ID, QUESTION
from pipelines.tasks.task import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from distill.windows import Span, Window, WindowCutter
    from pipelines.run_folder.storage import Storage
    from pipelines.tasks.squad import Row
    from pipelines.training.parts import TaskData

IDS, TYPES, LABEL, ROW = "input_ids", "token_type_ids", "span", "row"
READ_ROWS = 1_024  # at a time
GROUP_ROWS = 8_192  # windows of a row group
_LEARNT = {IDS: pa.list_(pa.int32()), TYPES: pa.list_(pa.uint8()), LABEL: pa.int64()}
_JUDGED = {
    ROW: pa.int64(),
    "first": pa.int32(),
    "starts": pa.list_(pa.int32()),
    "ends": pa.list_(pa.int32()),
    "best": pa.list_(pa.bool_()),
}
_FIELDS = {IDS: "ids", TYPES: "types", LABEL: "label"}  # column -> field of a window


def window_columns(labelled: bool) -> Columns:
    """What is read of windows."""
    return Columns((IDS, TYPES), LABEL if labelled else None, tokenised=True)


def write_windows(
    storage: Storage,
    place: str,
    tokenizer: Any,
    max_length: int,
    judged: bool = False,
    left_out: list[str] | None = None,
) -> str:
    """The windows of some rows, in their order, written once.

    Args:
        storage: the stage's folder.
        place: file of a part in that folder, or location of shards.
        tokenizer: a fast one.
        max_length: tokens of a window.
        judged: for predictions: windows know where their tokens stand, and answers need not lie whole in one.
        left_out: takes the ids of rows whose answer lies whole in no window, which have none then; None refuses them.

    Returns:
        Their path.

    Raises:
        UserError: a row whose answer lies whole in no window; the message has its id.
        DistillError: rows that cannot be read.
    """
    own = Path(place).is_relative_to(storage.local_folder())
    name, kinds = (
        f"data/{Path(place).stem if own else 'augmented'}-windows.parquet",
        _LEARNT | (_JUDGED if judged else {}),
    )
    if storage.size(name) is not None:
        return str(storage.local_folder() / name)
    from distill.tokens import tokenizer_json
    from distill.windows import WindowCutter

    cutter, schema = WindowCutter(tokenizer_json(tokenizer), max_length), pa.schema(list(kinds.items()))
    with storage.writing(name) as sink, open_writer(sink, schema) as writer:
        waiting: list[tuple[int, Window]] = []
        for found in _windows(rows_of(place), cutter, left_out, judged):
            waiting += found
            if len(waiting) >= GROUP_ROWS:
                writer.write_table(_table(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(_table(waiting, schema))
    return str(storage.local_folder() / name)


def check_whole(data: TaskData, tokenizer: Any, max_length: int) -> None:
    """Refuses an answer too long to lie whole in a window before a stage has taken hours; of other tasks nothing.

    Args:
        data: the task.
        tokenizer: that windows are cut by.
        max_length: tokens of a window.

    Raises:
        UserError: the train part has one, and bad rows are not skipped; the message has its id.
    """
    from distill.tokens import tokenizer_json
    from distill.windows import WindowCutter

    if data.opened is None or data.skip_bad_rows or not data.task.label.is_span:
        return
    batches = data.opened.split("train").batches(rows=READ_ROWS)
    long = ([row for row in batch.to_pylist() if _may_not_fit(row, max_length)] for batch in batches)
    for _ in _windows(long, WindowCutter(tokenizer_json(tokenizer), max_length), None, False):
        continue


def _may_not_fit(row: Row, max_length: int) -> bool:
    """Whether an answer has so many characters that it may be longer than what two windows share."""
    return any(len(text) > max_length // 3 for text in row["answers"]["text"][:1])


def rows_of(place: str) -> Iterator[list[Row]]:
    """Questions with contexts, answers and, where there is such a column, ids, some at a time.

    Args:
        place: file of a part, or location of shards.

    Raises:
        DistillError: they cannot be read, or lack a column.
    """
    import pyarrow.parquet as pq

    from distill.stores import reading

    files = open_shards(place, Columns((CONTEXT, QUESTION), ANSWERS))
    for path in files.paths:
        with reading(f"rows of {path}"), pq.ParquetFile(path, filesystem=files.filesystem) as file:
            names = [name for name in (ID, CONTEXT, QUESTION, ANSWERS) if name in file.schema_arrow.names]
            for batch in file.iter_batches(READ_ROWS, columns=names):
                yield batch.to_pylist()


def _windows(
    some: Iterable[list[Row]], cutter: WindowCutter, left_out: list[str] | None, judged: bool
) -> Iterator[list[tuple[int, Window]]]:
    """The windows of some rows at a time, each with the number of its row."""
    number = 0
    for rows in some:
        spans = [_first_answer(row) for row in rows]
        cut = cutter.cut([row["question"] for row in rows], [row["context"] for row in rows], spans)
        found = []
        for row, span, windows in zip(rows, spans, cut, strict=True):
            if judged or span is None or any(window.has_answer for window in windows):
                found += [(number, window) for window in windows]
            elif left_out is None:
                raise _not_whole(row, number, cutter.max_length)
            else:
                left_out.append(row.get("id", f"of row {number}"))
            number += 1
        yield found


def _first_answer(row: Row) -> Span | None:
    texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
    return (starts[0], starts[0] + len(texts[0])) if texts else None


def _not_whole(row: Row, number: int, max_length: int) -> UserError:
    name, answer = row.get("id", f"of row {number}"), row["answers"]["text"][0]
    return UserError(
        f"train part, question {name}: expected its answer whole in a window of {max_length} tokens, found none that "
        f"has all of {shown(answer)}; raise --max-length, take the question out of the file, or let `run` leave such "
        "questions out with --on-bad-row skip"
    )


def _table(windows: list[tuple[int, Window]], schema: pa.Schema) -> pa.Table:
    columns = {}
    for field in schema:
        if field.name == ROW:
            columns[ROW] = pa.array([row for row, _ in windows], field.type)
        else:
            own = _FIELDS.get(field.name, field.name)
            columns[field.name] = pa.array([getattr(window, own) for _, window in windows], field.type)
    return pa.table(columns, schema=schema)
