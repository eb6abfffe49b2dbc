"""The streaming data set: shuffled, tokenised, length-bucketed batches of Parquet shards of any size.

Held in memory are a few pools of rows, never the data set. Pools are read and tokenised by worker processes and
arrive in order, so batches depend on neither the number of workers nor the number of ranks: every rank sees the
same batches and takes its own part of each (`Batch.part`).
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from distill.errors import DistillError
from distill.masking import UNMASKED, Masker
from distill.order import batch_bounds, batch_turns, cut_chunks, epoch_pools, rows_by_length, split_evenly, whole_pool
from distill.reading_worker import Reader, signals_held, start_worker, tokenise
from distill.token_store import TokenStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from distill.masking import MaskSettings
    from distill.order import Chunk
    from distill.reading import Columns, ShardFiles, TokenRows


@dataclass(frozen=True)
class StreamSettings:
    """Settings of batches.

    Attributes:
        max_length: tokens of an example, special ones included; longer ones are cut.
        batch_rows: examples of a step, over all ranks and accumulation parts.
        seed: of the order.
        pool_rows: rows shuffled and bucketed together; memory grows with it.
        chunk_rows: consecutive rows that stay in one pool.
        workers: processes that read and tokenise; 0 does it in this one.
        masking: of tokens, for a masked-LM loss; None leaves them as they are.
    """

    max_length: int = 128
    batch_rows: int = 32
    seed: int = 0
    pool_rows: int = 32_768
    chunk_rows: int = 4_096
    workers: int = 1
    masking: MaskSettings | None = None

    def __post_init__(self) -> None:
        smallest = {"max_length": 2, "batch_rows": 1, "pool_rows": 1, "chunk_rows": 1, "workers": 0}
        for name, least in smallest.items():
            if getattr(self, name) < least:
                raise DistillError(f"expected {name} of at least {least}; found {getattr(self, name)}. Raise it.")

    @property
    def whole_pool(self) -> int:
        """Rows of a pool: `pool_rows`, made a multiple of the batch so that no pool ends in a short batch."""
        return whole_pool(self.pool_rows, self.batch_rows)


@dataclass(frozen=True)
class Position:
    """A place in the data: the next batch."""

    epoch: int = 0
    pool: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Batch:
    """A step's examples, padded to the longest among them.

    Attributes:
        ids: token ids (B, T) int64.
        types: segment ids (B, T) int64.
        mask: (B, T) int64, 1 at an example's own positions.
        shard: index of each example's shard (B,).
        row: each example's row in its shard (B,).
        labels: (B,) float64, or with masking (B, T) int64: the ids that stood at masked positions, −100 elsewhere.
        after: position of the batch that follows.
        theirs: the same examples as a teacher of another tokenizer reads them; None where it reads these.
    """

    ids: NDArray[np.int64]
    types: NDArray[np.int64]
    mask: NDArray[np.int64]
    shard: NDArray[np.int32]
    row: NDArray[np.int64]
    labels: NDArray[np.float64] | NDArray[np.int64] | None
    after: Position
    theirs: Batch | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def taught(self) -> Batch:
        """The examples as the teacher reads them."""
        return self if self.theirs is None else self.theirs

    @cached_property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [int(length) for length in self.mask.sum(-1)]

    def part(self, index: int, parts: int) -> Batch:
        """The `index`-th of `parts` consecutive parts, trimmed to its own longest example; may be empty."""
        start, stop = split_evenly(len(self), parts)[index]
        width = int(self.mask[start:stop].sum(-1).max(initial=0))
        labels = self.labels
        return Batch(
            self.ids[start:stop, :width],
            self.types[start:stop, :width],
            self.mask[start:stop, :width],
            self.shard[start:stop],
            self.row[start:stop],
            None if labels is None else labels[start:stop] if labels.ndim == 1 else labels[start:stop, :width],
            self.after,
            None if self.theirs is None else self.theirs.part(index, parts),
        )

    def widened(self, width: int, pad_id: int) -> Batch:
        """The same examples, padded to `width` tokens or more."""
        missing = ((0, 0), (0, width - self.ids.shape[1]))
        if missing[1][1] <= 0:
            return self
        masked = self.labels is not None and self.labels.ndim == 2
        return replace(
            self,
            ids=np.pad(self.ids, missing, constant_values=pad_id),
            types=np.pad(self.types, missing),
            mask=np.pad(self.mask, missing),
            labels=np.pad(cast("Any", self.labels), missing, constant_values=UNMASKED) if masked else self.labels,
        )


@dataclass(frozen=True)
class OtherTokens:
    """The tokenizer of a teacher that does not share its student's; attributes as those of a stream."""

    tokenizer_json: str
    pad_id: int


@dataclass(eq=False, repr=False)
class ShardStream:
    """Batches of a data set, epoch after epoch, from any position.

    Args:
        files: the shards.
        columns: what to read of them.
        tokenizer_json: of the fast tokenizer, by `distill.tokenizer_json`.
        pad_id: id that fills up short examples.
        settings: how rows become batches.
        kept: folder for tokenised rows, on this machine; None tokenises in every epoch.
        other: the teacher's tokenizer, where rows are tokenised twice; their order is by the student's tokens.
    """

    files: ShardFiles
    columns: Columns
    tokenizer_json: str
    pad_id: int
    settings: StreamSettings
    kept: Path | None = None
    other: OtherTokens | None = None

    def __post_init__(self) -> None:
        self.chunks = cut_chunks(self.files.row_groups, self.settings.chunk_rows)
        masking, seed = self.settings.masking, self.settings.seed
        self._masker = Masker(masking, self.tokenizer_json, seed, self.files.sha256) if masking else None
        self._executor: ProcessPoolExecutor | None = None

    @cached_property
    def _reader(self) -> Reader:
        tokenizers = (self.tokenizer_json, *((self.other.tokenizer_json,) if self.other else ()))
        stores: tuple[TokenStore | None, ...] = (None,) * len(tokenizers)
        if self.kept is not None and not self.columns.tokenised:
            stores = tuple(TokenStore.of(self, self.kept, one) for one in tokenizers)
        return Reader(self.files, self.columns, tokenizers, self.settings.max_length, stores)

    def __len__(self) -> int:
        """Examples of an epoch."""
        return self.files.rows

    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-len(self) // self.settings.batch_rows)

    def batches(self, start: Position) -> Iterator[Batch]:
        """The batches of epoch `start.epoch` from `start` on.

        Raises:
            DistillError: data that cannot be read, or a worker that died.
        """
        pools = epoch_pools(self.chunks, self.settings.whole_pool, self.settings.seed, start.epoch)
        for number, rows in enumerate(self._token_pools(pools[start.pool :]), start=start.pool):
            first = start.batch if number == start.pool else 0
            last = number == len(pools) - 1
            yield from self._pool_batches(rows, start.epoch, number, first, last)

    def _token_pools(self, pools: list[tuple[Chunk, ...]]) -> Iterator[tuple[TokenRows, ...]]:
        """Tokenised pools in order, a bounded number of them ahead of use."""
        workers = self.settings.workers
        if workers == 0:
            yield from map(self._reader.read, pools)
            return
        executor = self._started()
        coming = iter(pools)
        with signals_held():  # where processes are started
            waiting = deque(executor.submit(tokenise, pool) for pool in itertools.islice(coming, workers + 1))
        try:
            while waiting:
                rows = waiting.popleft().result()
                with signals_held():
                    waiting.extend(executor.submit(tokenise, pool) for pool in itertools.islice(coming, 1))
                yield rows
        except BrokenProcessPool as error:
            self.close()
            raise DistillError(
                "expected the reading workers to live; one was killed, most likely for want of memory. Lower "
                "workers or pool_rows, then run again: it resumes."
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def _started(self) -> ProcessPoolExecutor:
        """The workers, kept from epoch to epoch."""
        if self._executor is None:
            # Spawned, not forked: a fork copies the locks of tokenizer, Arrow and torch threads as they are.
            self._executor = ProcessPoolExecutor(
                self.settings.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=start_worker,
                initargs=(self._reader,),
            )
        return self._executor

    def places(self, batch: Batch, most: int = 8) -> str:
        """The places of a batch's first rows, as file:row, for messages."""
        names = [f"{PurePath(self.files.paths[s]).name}:{r}" for s, r in zip(batch.shard, batch.row, strict=True)]
        return ", ".join(names[:most]) + (" …" if len(names) > most else "")

    def close(self) -> None:
        """Stops the workers; a later epoch starts them again."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _pool_batches(
        self, found: tuple[TokenRows, ...], epoch: int, pool: int, first: int, last_pool: bool
    ) -> Iterator[Batch]:
        """Rows by length, equal lengths in random order, cut into batches that come in random order."""
        key, rows = (self.settings.seed, epoch, pool), found[0]
        order = rows_by_length(rows.lengths, *key)
        bounds = batch_bounds(len(order), self.settings.batch_rows)
        turns = batch_turns(len(bounds), *key)
        for turn in range(first, len(turns)):
            start, stop = bounds[int(turns[turn])]
            after = Position(epoch, pool, turn + 1)
            if turn + 1 == len(turns):
                after = Position(epoch + 1) if last_pool else Position(epoch, pool + 1)
            batch = replace(pad_rows(rows, order[start:stop], self.pad_id), after=after)
            if self.other is not None:
                batch = replace(batch, theirs=pad_rows(found[1], order[start:stop], self.other.pad_id))
            yield batch if self._masker is None else self._masker(batch, epoch)


def pad_rows(rows: TokenRows, chosen: NDArray[np.int64], pad_id: int) -> Batch:
    """A batch of the chosen rows, padded on the right; its position is the start."""
    lengths = rows.lengths[chosen]
    columns = np.arange(int(lengths.max()))
    own = columns[None, :] < lengths[:, None]  # (B, T)
    places = np.where(own, rows.offsets[chosen][:, None] + columns[None, :], 0)
    return Batch(
        ids=np.where(own, rows.ids[places], pad_id).astype(np.int64),
        types=np.where(own, rows.types[places], 0).astype(np.int64),
        mask=own.astype(np.int64),
        shard=rows.shard[chosen],
        row=rows.row[chosen],
        labels=None if rows.labels is None else rows.labels[chosen],
        after=Position(),
    )
