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
import pyarrow.parquet as pq

from augment.text_numbers import TextNumbers, text_ids
from pipelines.augmenting.distinct_words import DistinctWords, word_bounds
from pipelines.augmenting.plan import part_bounds, text_costs, usual_part_tokens
from pipelines.machine.behind import Behind
from pipelines.run_folder.parquet import open_thread_writer, open_writer, write_tables
from pipelines.run_folder.records import Reject
from pipelines.run_folder.storage import Storage
from pipelines.tasks.label_counts import LabelCounter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipelines.augmenting.stages import Job
    from pipelines.tasks import BadRow, OpenTask

ROWS, TEXTS, HELD_OUT = "input/rows.parquet", "input/texts.parquet", "input/held-out.parquet"
WORDS = "input/words.parquet"
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
        rejects: bad rows.
        bytes: sizes of the files.
        file_rows: rows of the input files by name, bad ones included; None where a limit ended the reading.
        labels: good rows of each class in order, or the least score, the mean and the greatest; empty without labels.
        word_bounds: part i of the neighbours holds those of the distinct words from bounds[i] up to bounds[i + 1];
            empty where no table of neighbours is made.
    """

    rows: int
    texts: int
    text_bounds: list[int]
    held_out: int
    rejects: list[Reject]
    bytes: dict[str, int]
    file_rows: dict[str, int | None] = field(default_factory=dict)
    labels: list[float] = field(default_factory=list)
    word_bounds: list[int] = field(default_factory=list)

    def repeats(self, columns: Sequence[str]) -> float:
        """The share of the rows' texts that were there before.

        Args:
            columns: text columns of a row.
        """
        return 1 - self.texts / max(self.rows * len(columns), 1)


def write_snapshot(job: Job, opened: OpenTask, bad_rows: list[BadRow]) -> Snapshot:
    """Reads the input and writes the snapshot.

    Args:
        job: its run directory is written to.
        opened: the task's files.
        bad_rows: the list that the task's `on_bad` fills while rows are read.

    Returns:
        What was written; also in input/record.json.
    """
    storage, settings, split = Storage(job.root), job.identity.settings, opened.split("train")
    texts = UniqueTexts(job.task.text_columns, job.with_partner, settings.candidates.mask_spacing)
    labels, words = LabelCounter(job.task.label), DistinctWords() if job.glove is not None else None
    rows = _write_train(storage, split.batches(limit=settings.limit, rows=ROWS_AT_ONCE), texts, labels, words)
    bounds = texts.bounds(settings.compute.part_tokens or usual_part_tokens(settings.compute.device))
    rejects = [_reject(row) for row in bad_rows]  # before those of dev and test, which the output does not hold
    held_out, file_rows = _write_held_out(storage, opened)
    of_words = _write_words(storage, words) if words is not None else []
    names = (ROWS, TEXTS, HELD_OUT, *((WORDS,) if of_words else ()))
    sizes = {name: storage.size(name) or 0 for name in names}
    file_rows = {**split.file_rows, **file_rows}
    snapshot = Snapshot(rows, bounds[-1], bounds, held_out, rejects, sizes, file_rows, labels.found(), of_words)
    storage.write_json(RECORD, asdict(snapshot))
    return snapshot


def read_snapshot(storage: Storage) -> Snapshot | None:
    """The snapshot of a run directory; None if it is missing or its files have other sizes than recorded."""
    try:
        snapshot = Snapshot(**(storage.read_json(RECORD) or {}))
    except TypeError:
        return None
    whole = all(storage.size(name) == size for name, size in snapshot.bytes.items())
    return snapshot if whole else None


def last_texts(storage: Storage, bounds: list[int]) -> np.ndarray:
    """The text of the greatest number that came up to the end of each shard: texts are numbered as they come.

    Args:
        storage: the run directory.
        bounds: of the shards of rows.

    Returns:
        int64 (S,).
    """
    ends, found = np.array(bounds[1:]), np.zeros(len(bounds) - 1, dtype=np.int64)
    rows = greatest = 0
    with storage.open_input(ROWS) as stream:
        for batch in pq.ParquetFile(stream, pre_buffer=True).iter_batches(columns=[TEXT_NUMBERS]):
            numbers = batch.column(0).flatten().to_numpy().reshape(batch.num_rows, -1).max(axis=1)  # (R,)
            numbers = np.maximum.accumulate(np.maximum(numbers, greatest))
            inside = (ends > rows) & (ends <= rows + batch.num_rows)
            found[inside] = numbers[ends[inside] - rows - 1]
            rows, greatest = rows + batch.num_rows, numbers[-1]
    return found


class UniqueTexts:
    """Numbers the texts of rows as they come, and cuts the distinct ones into parts of about equal work.

    Args:
        names: of the text columns.
        with_partner: whether the masked LM sees the other text of a pair.
        spacing: mask_spacing.
    """

    def __init__(self, names: tuple[str, ...], with_partner: bool, spacing: int) -> None:
        self.names, self._with_partner, self._spacing = names, with_partner, spacing
        self._numbers = TextNumbers()
        self._bytes: list[np.ndarray] = []  # int32 of each distinct text
        self._total = 0.0
        partner = [("partner", pa.string())] if with_partner else []
        self.schema = pa.schema([("text_id", pa.binary(16)), ("text", pa.string()), *partner])

    @property
    def count(self) -> int:
        """Distinct texts so far."""
        return self._numbers.count

    def add(self, batch: pa.RecordBatch) -> tuple[np.ndarray, pa.Table]:
        """Numbers the texts of the next rows.

        Args:
            batch: R rows with the C text columns.

        Returns:
            Numbers, int64 (R x C,) row by row; and those texts that are new, with their ids and partners.
        """
        columns, rows = [batch.column(name) for name in self.names], np.arange(batch.num_rows)
        seen = _row_by_row(columns, rows)
        partners = _row_by_row([*columns[1:], columns[0]], rows) if self._with_partner else None  # the next column's
        ids = text_ids(seen, partners)
        numbers, firsts = self._numbers.add(np.frombuffer(ids, dtype=np.uint64).reshape(-1, 2))
        new = pa.array(np.flatnonzero(firsts))
        found = [_as_digests(ids), seen, *([] if partners is None else [partners])]
        texts = pa.table([column.take(new) for column in found], schema=self.schema)
        for name in self.names:
            self._total += float(text_costs(_sizes(batch.column(name)), self._spacing).sum())
        self._bytes.append(_sizes(texts.column("text")).astype(np.int32))
        return numbers, texts

    def bounds(self, part_tokens: int) -> list[int]:
        """Bounds of the parts of the candidates, each of so many estimated tokens at most."""
        costs = (text_costs(sizes, self._spacing).tolist() for sizes in self._bytes)
        return part_bounds(chain.from_iterable(costs), self._total, part_tokens)


def _reject(row: BadRow) -> Reject:
    return Reject(
        source_idx=row.source_idx,
        file=row.file,
        line=row.line,
        column=row.column,
        stage="read",
        error=row.error,
        text=row.text,
    )


def _write_train(
    storage: Storage,
    batches: Iterator[pa.RecordBatch],
    texts: UniqueTexts,
    labels: LabelCounter,
    words: DistinctWords | None,
) -> int:
    """Writes rows with the numbers of their texts, and the distinct texts; gives the number of rows."""
    head, rows = next(batches), 0  # there is one, or what is wrong has been said
    width = len(texts.names)
    link = pa.field(TEXT_NUMBERS, pa.list_(pa.int64(), width))

    def take_words(new: pa.Table) -> None:
        if words is not None:
            words.add(new.column("text"))

    with (
        storage.writing(ROWS) as rows_sink,
        storage.writing(TEXTS) as texts_sink,
        open_thread_writer(rows_sink, head.schema.append(link)) as rows_writer,
        open_thread_writer(texts_sink, texts.schema) as texts_writer,
        Behind(rows_writer.write_table) as write_rows,
        Behind(texts_writer.write_table) as write_texts,
        Behind(take_words) as take,
    ):
        for batch in chain([head], batches):
            numbers, new = texts.add(batch)
            labels.add(batch)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(numbers), width)
            write_rows(pa.Table.from_batches([batch]).append_column(link, lists))
            write_texts(new)
            take(new)
            rows += batch.num_rows
    return rows


def _write_words(storage: Storage, words: DistinctWords) -> list[int]:
    """Writes the distinct words if they are to have a table of neighbours; gives the bounds of its parts."""
    table = words.found()
    bounds = word_bounds(table.num_rows)
    if bounds:
        write_tables(storage, WORDS, [table])
    return bounds


def _write_held_out(storage: Storage, opened: OpenTask) -> tuple[int, dict[str, int | None]]:
    """Writes the texts of the dev and test parts; gives the number of their rows, and that of each file."""
    schema = pa.schema([(name, pa.string()) for name in opened.task.text_columns])
    rows, file_rows = 0, {}
    with storage.writing(HELD_OUT) as sink, open_writer(sink, schema) as writer:
        for name in opened.held_out():
            split = opened.split(name)
            for batch in split.batches(rows=ROWS_AT_ONCE):
                writer.write_table(pa.Table.from_batches([batch.select(schema.names)], schema=schema))
                rows += batch.num_rows
            file_rows.update(split.file_rows)
    return rows, file_rows


def _row_by_row(columns: Sequence[pa.Array], rows: np.ndarray) -> pa.Array:
    """The values of C columns of R rows, (R x C,): those of a row beside each other."""
    if len(columns) == 1:
        return columns[0]
    places = rows[:, None] + len(rows) * np.arange(len(columns))  # (R, C)
    return pa.concat_arrays(columns).take(pa.array(places.reshape(-1)))


def _as_digests(ids: bytes) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(16), len(ids) // 16, [None, pa.py_buffer(ids)])


def _sizes(texts: Any) -> np.ndarray:
    return np.asarray(pc.binary_length(texts)).astype(np.int64)
