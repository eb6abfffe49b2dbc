"""A process that reads and tokenises for another one, and ends with it.

Signals to stop go to whole groups of processes: a terminal's Ctrl-C, `timeout`, torchrun. The parent answers them, and
needs its workers until it has: they are started with these signals held back, and leave the group.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from distill.reading import Columns, ShardFiles, TokenRows, read_rows
from distill.tokens import truncating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenizers import Tokenizer

    from distill.order import Chunk
    from distill.token_store import TokenStore


@dataclass(frozen=True)
class Reader:
    """Reads and tokenises the rows of a pool, by one tokenizer or by several.

    Args:
        files: the shards.
        columns: what to read of them.
        tokenizers: JSON of each fast tokenizer.
        max_length: tokens of an example.
        stores: for each tokenizer what keeps its tokens; None tokenises anew.
    """

    files: ShardFiles
    columns: Columns
    tokenizers: tuple[str, ...]
    max_length: int
    stores: tuple[TokenStore | None, ...]

    @cached_property
    def _cutting(self) -> list[Tokenizer]:
        return [truncating(one, self.max_length) for one in self.tokenizers]

    def read(self, pool: tuple[Chunk, ...]) -> tuple[TokenRows, ...]:
        """The rows of a pool in their order, once for each tokenizer; labels come with the first.

        Args:
            pool: its chunks.

        Raises:
            DistillError: as `distill.reading.read_rows`.
        """
        texts = replace(self.columns, label=None)
        return tuple(
            read_rows(self.files, pool, texts if number else self.columns, tokenizer, store)
            for number, (tokenizer, store) in enumerate(zip(self._cutting, self.stores, strict=True))
        )


STOPS = (signal.SIGINT, signal.SIGTERM)

_worker: Reader | None = None  # of one worker process, set once


@contextmanager
def signals_held() -> Iterator[None]:
    """For starting workers: they inherit it, and so outlive signals that come before they have left the group."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(reader: Reader) -> None:
    """Makes this process a worker.

    Args:
        reader: of its pools.
    """
    global _worker
    os.setpgid(0, 0)
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)  # drops what came meanwhile
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which a broken pool ends its other workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = reader


def tokenise(pool: tuple[Chunk, ...]) -> tuple[TokenRows, ...]:
    """The rows of a pool, tokenised; in a worker.

    Args:
        pool: its chunks.
    """
    if _worker is None:
        raise RuntimeError("a reading worker was used before it was started")
    return _worker.read(pool)


def _end_with_parent() -> None:
    """Ends this process with its parent: one that was killed closes no queue, and its workers would wait forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
