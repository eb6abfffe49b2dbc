"""The input as the job reads it: rows, unique texts and held-out texts, written once into the run directory.

Workers and later commands read these files alone, so they need neither the user's files nor the hub.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.parquet import RowReader, open_writer
from pipelines.plan import PartCutter, number_texts, part_target, text_costs, text_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipelines.storage import Storage
    from pipelines.tasks import OpenTask, Task

ROWS, TEXTS, HELD_OUT = "input/rows.parquet", "input/texts.parquet", "input/held-out.parquet"
UNLINKED, RECORD = "input/rows-read.parquet", "input/record.json"
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
    """

    rows: int
    texts: int
    text_bounds: list[int]
    held_out: int
    rejects: list[dict[str, Any]]
    bytes: dict[str, int]


def write_snapshot(
    storage: Storage,
    opened: OpenTask,
    limit: int | None,
    rejects: list[dict[str, Any]],
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
    ids, rows, total = _write_rows(storage, split.batches(limit=limit, rows=ROWS_AT_ONCE), task, with_partner, spacing)
    numbers, firsts = number_texts(ids)
    del ids
    bounds = _link_rows(storage, task, numbers, firsts, with_partner, spacing, part_target(total))
    storage.remove(UNLINKED)
    train_rejects = list(rejects)  # bad rows of dev and test are no concern of the output
    held_out = _write_held_out(storage, opened, task)
    sizes = {name: storage.size(name) or 0 for name in (ROWS, TEXTS, HELD_OUT)}
    snapshot = Snapshot(rows, bounds[-1], bounds, held_out, train_rejects, sizes)
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


def _write_rows(
    storage: Storage, batches: Iterable[pa.RecordBatch], task: Task, with_partner: bool, spacing: int
) -> tuple[np.ndarray, int, float]:
    """First pass: rows as they are, digests of their texts, and the cost of all texts together."""
    ids: list[np.ndarray] = []
    rows, total = 0, 0.0
    with storage.writing(UNLINKED) as sink:
        writer = None
        for batch in batches:
            writer = writer or open_writer(sink, batch.schema)
            writer.write_batch(batch)
            ids.append(ids_of(batch, task, with_partner))
            rows += batch.num_rows
            for name in task.text_columns:
                total += float(text_costs(_sizes(batch.column(name)), spacing).sum())
        if writer is not None:
            writer.close()
    return np.concatenate(ids), rows, total


def _link_rows(
    storage: Storage,
    task: Task,
    numbers: np.ndarray,
    firsts: np.ndarray,
    with_partner: bool,
    spacing: int,
    target: float,
) -> list[int]:
    """Second pass: rows with the numbers of their texts, and the unique texts, cut into parts."""
    width = len(task.text_columns)
    cutter = PartCutter(target)
    text_fields = [("text_id", pa.binary(16)), ("text", pa.string())]
    text_schema = pa.schema([*text_fields, *([("partner", pa.string())] if with_partner else [])])
    reader = RowReader(storage, UNLINKED)
    link = pa.field(TEXT_NUMBERS, pa.list_(pa.int64(), width))
    with (
        storage.writing(ROWS) as rows_sink,
        storage.writing(TEXTS) as texts_sink,
        open_writer(rows_sink, reader.schema.append(link)) as rows_writer,
        open_writer(texts_sink, text_schema) as texts_writer,
    ):
        for first in range(0, reader.rows, ROWS_AT_ONCE):
            batch = reader.range(first, min(first + ROWS_AT_ONCE, reader.rows)).combine_chunks()
            place = slice(first * width, first * width + batch.num_rows * width)
            linked = pa.FixedSizeListArray.from_arrays(pa.array(numbers[place].astype(np.int64)), width)
            rows_writer.write_table(batch.append_column(link, linked))
            texts = _unique_texts(batch, task, firsts[place], with_partner, text_schema)
            cutter.add(text_costs(_sizes(texts.column("text")), spacing))
            texts_writer.write_table(texts)
    reader.close()
    return cutter.finish()


def _unique_texts(batch: pa.Table, task: Task, firsts: np.ndarray, with_partner: bool, schema: pa.Schema) -> pa.Table:
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


def _write_held_out(storage: Storage, opened: OpenTask, task: Task) -> int:
    schema = pa.schema([(name, pa.string()) for name in task.text_columns])
    rows = 0
    with storage.writing(HELD_OUT) as sink, open_writer(sink, schema) as writer:
        for batch in _held_out_batches(opened):
            writer.write_table(pa.table([batch.column(name) for name in task.text_columns], schema=schema))
            rows += batch.num_rows
    return rows


def _held_out_batches(opened: OpenTask) -> Iterator[pa.RecordBatch]:
    for name in opened.held_out():
        yield from opened.split(name).batches(rows=ROWS_AT_ONCE)


def _sizes(texts: Any) -> np.ndarray:
    return np.asarray(pc.binary_length(texts)).astype(np.int64)
