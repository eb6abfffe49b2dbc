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
from typing import TYPE_CHECKING

from distill.reading import Columns, ShardFiles, TokenRows, read_rows
from distill.tokens import truncating

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenizers import Tokenizer

    from distill.order import Chunk
    from distill.token_store import TokenStore

STOPS = (signal.SIGINT, signal.SIGTERM)

_worker: tuple[ShardFiles, Columns, Tokenizer, TokenStore | None] | None = None  # of one worker process, set once


@contextmanager
def signals_held() -> Iterator[None]:
    """For starting workers: they inherit it, and so outlive signals that come before they have left the group."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(
    files: ShardFiles, columns: Columns, tokenizer_json: str, max_length: int, store: TokenStore | None
) -> None:
    """Makes this process a worker.

    Args:
        files: the shards.
        columns: what to read of them.
        tokenizer_json: of the fast tokenizer.
        max_length: tokens of an example.
        store: keeps what was tokenised.
    """
    global _worker
    os.setpgid(0, 0)
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)  # drops what came meanwhile
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # by which a broken pool ends its other workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = (files, columns, truncating(tokenizer_json, max_length), store)


def tokenise(pool: tuple[Chunk, ...]) -> TokenRows:
    """The rows of a pool, tokenised; in a worker.

    Args:
        pool: its chunks.
    """
    if _worker is None:
        raise RuntimeError("a reading worker was used before it was started")
    files, columns, tokenizer, store = _worker
    return read_rows(files, pool, columns, tokenizer, store)


def _end_with_parent() -> None:
    """Ends this process with its parent: one that was killed closes no queue, and its workers would wait forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
