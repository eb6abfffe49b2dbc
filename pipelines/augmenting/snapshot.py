"""The input as the job reads it: rows, unique texts and held-out texts, written once into the run directory.

Workers and later commands read these files alone, so they need neither the user's files nor the hub.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.augmenting.numbering import TextNumbers
from pipelines.augmenting.plan import PartCutter, part_target, text_costs, text_id
from pipelines.run_folder.parquet import open_writer
from pipelines.tasks.label_counts import LabelCounter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.run_folder.records import Reject
    from pipelines.run_folder.storage import Storage
    from pipelines.tasks import OpenTask, Task

ROWS, TEXTS, HELD_OUT = "input/rows.parquet", "input/texts.parquet", "input/held-out.parquet"
RECORD = "input/record.json"
TEXT_NUMBERS = "__texts"  # fixed-size list: number of the unique text in each text column
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Snapshot:
    """What was written.

    Args:
        rows: good rows.
        texts: unique texts.
        text_bounds: part i of the candidates holds the texts from bounds[i] up to bounds[i + 1].
        held_out: rows of the dev and test parts.
        rejects: bad rows, as they will stand in rejected.parquet.
        bytes: sizes of the three files.
        file_rows: rows of the input files by name, bad ones included; None where a limit ended the reading.
        labels: good rows of each class in order, or the least score, the mean and the greatest; empty without labels.
    """

    rows: int
    texts: int
    text_bounds: list[int]
    held_out: int
    rejects: list[Reject]
    bytes: dict[str, int]
    file_rows: dict[str, int | None] = field(default_factory=dict)
    labels: list[float] = field(default_factory=list)


def write_snapshot(
    storage: Storage,
    opened: OpenTask,
    limit: int | None,
    rejects: list[Reject],
    with_partner: bool,
    spacing: int,
) -> Snapshot:
    """Reads the input and writes the snapshot.

    Args:
        storage: the run directory.
        opened: the task's files.
        limit: first rows to read; None for all.
        rejects: the list that the task's `on_bad` fills while rows are read.
        with_partner: whether the masked LM sees the other text of a pair.
        spacing: mask_spacing, for the estimate of costs.

    Returns:
        What was written; also in input/record.json.
    """
    task = opened.task
    split = opened.split("train")
    texts, labels = _Texts(task, with_partner, spacing), LabelCounter(task.label)
    rows = _write_train(storage, split.batches(limit=limit, rows=ROWS_AT_ONCE), texts, labels)
    bounds = texts.bounds()
    train_rejects = list(rejects)  # bad rows of dev and test are no concern of the output
    held_out, file_rows = _write_held_out(storage, opened, task)
    sizes = {name: storage.size(name) or 0 for name in (ROWS, TEXTS, HELD_OUT)}
    file_rows = {**split.file_rows, **file_rows}
    snapshot = Snapshot(rows, bounds[-1], bounds, held_out, train_rejects, sizes, file_rows, labels.found())
    storage.write_json(RECORD, asdict(snapshot))
    return snapshot


def read_snapshot(storage: Storage) -> Snapshot | None:
    """The snapshot of a run directory; None if it is missing or its files have other sizes than recorded."""
    content = storage.read_json(RECORD)
    try:
        snapshot = Snapshot(**(content or {}))
    except TypeError:
        return None
    if any(storage.size(name) != size for name, size in snapshot.bytes.items()):
        return None
    return snapshot


def ids_of(batch: pa.RecordBatch, task: Task, with_partner: bool) -> np.ndarray:
    """Digests of a batch's texts: uint64 (rows x columns, 2), row by row."""
    columns = [batch.column(name).to_pylist() for name in task.text_columns]
    digests = bytearray()
    for texts in zip(*columns, strict=True):
        for place, text in enumerate(texts):
            digests += text_id(text, *_partner(texts, place, with_partner))
    return np.frombuffer(bytes(digests), dtype=np.uint64).reshape(-1, 2)


def _partner(texts: tuple[str, ...], place: int, with_partner: bool) -> tuple[str, ...]:
    """The text seen beside another one: the next column's, and for the last column the first's."""
    return (texts[(place + 1) % len(texts)],) if with_partner and len(texts) > 1 else ()


class _Texts:
    """Numbers the texts of rows as they come, and keeps what parts are cut by."""

    def __init__(self, task: Task, with_partner: bool, spacing: int) -> None:
        self._task, self._with_partner, self._spacing = task, with_partner, spacing
        self._numbers = TextNumbers()
        self._bytes: list[np.ndarray] = []  # int32 of each distinct text
        self._total = 0.0
        self.link = pa.field(TEXT_NUMBERS, pa.list_(pa.int64(), len(task.text_columns)))
        partner = [("partner", pa.string())] if with_partner else []
        self.schema = pa.schema([("text_id", pa.binary(16)), ("text", pa.string()), *partner])

    def add(self, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Table]:
        """Numbers of a batch's texts, a list for each row, and those texts that are new."""
        ids = ids_of(batch, self._task, self._with_partner)
        numbers, firsts = self._numbers.add(ids)
        for name in self._task.text_columns:
            self._total += float(text_costs(_sizes(batch.column(name)), self._spacing).sum())
        texts = _unique_texts(batch, self._task, firsts, self._with_partner, self.schema)
        self._bytes.append(_sizes(texts.column("text")).astype(np.int32))
        return pa.FixedSizeListArray.from_arrays(pa.array(numbers), len(self._task.text_columns)), texts

    def bounds(self) -> list[int]:
        """Bounds of the parts of the candidates: about as much work in each."""
        cutter = PartCutter(part_target(self._total))
        for sizes in self._bytes:
            cutter.add(text_costs(sizes, self._spacing))
        return cutter.finish()


def _write_train(storage: Storage, batches: Iterator[pa.RecordBatch], texts: _Texts, labels: LabelCounter) -> int:
    """Writes rows with the numbers of their texts, and the distinct texts; gives the number of rows."""
    head, rows = next(batches), 0  # there is one, or what is wrong has been said
    with (
        storage.writing(ROWS) as rows_sink,
        storage.writing(TEXTS) as texts_sink,
        open_writer(rows_sink, head.schema.append(texts.link)) as rows_writer,
        open_writer(texts_sink, texts.schema) as texts_writer,
    ):
        for batch in chain([head], batches):
            numbers, new = texts.add(batch)
            labels.add(batch)
            rows_writer.write_table(pa.Table.from_batches([batch]).append_column(texts.link, numbers))
            texts_writer.write_table(new)
            rows += batch.num_rows
    return rows


def _unique_texts(
    batch: pa.RecordBatch, task: Task, firsts: np.ndarray, with_partner: bool, schema: pa.Schema
) -> pa.Table:
    columns = [batch.column(name).to_pylist() for name in task.text_columns]
    found: list[tuple[Any, ...]] = []
    for row, texts in enumerate(zip(*columns, strict=True)):
        for place, text in enumerate(texts):
            if firsts[row * len(texts) + place]:
                partner = _partner(texts, place, with_partner)
                found.append((text_id(text, *partner), text, *(partner or ("",) * with_partner)))
    arrays = zip(*found, strict=True) if found else [[] for _ in schema]
    return pa.table(
        [pa.array(list(values), one.type) for values, one in zip(arrays, schema, strict=True)], schema=schema
    )


def _write_held_out(storage: Storage, opened: OpenTask, task: Task) -> tuple[int, dict[str, int | None]]:
    """Writes the texts of the dev and test parts; gives the number of their rows, and that of each file."""
    schema = pa.schema([(name, pa.string()) for name in task.text_columns])
    rows, file_rows = 0, {}
    with storage.writing(HELD_OUT) as sink, open_writer(sink, schema) as writer:
        for name in opened.held_out():
            split = opened.split(name)
            for batch in split.batches(rows=ROWS_AT_ONCE):
                writer.write_table(pa.table([batch.column(name) for name in task.text_columns], schema=schema))
                rows += batch.num_rows
            file_rows.update(split.file_rows)
    return rows, file_rows


def _sizes(texts: Any) -> np.ndarray:
    return np.asarray(pc.binary_length(texts)).astype(np.int64)
