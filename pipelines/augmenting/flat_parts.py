"""Parts of the candidate table as flat files that are memory-mapped, for rows whose texts repeat.

A repeated text may lie anywhere in the table, and to read it out of Parquet a whole row group is decompressed. Where
many repeat, nearly every shard would have nearly every group decoded; so each part is decoded once, and kept as it
lies in memory. Of the flat file only the pages of the texts that are wanted are read, and the workers of a machine
share them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.run_folder.storage import PARTIAL, unwritten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from pipelines.run_folder.storage import Storage

FEW_REPEATS = 0.05  # of the texts of the rows: those of SST-2 (1%) touch few groups, those of QQP (30%) nearly all
SPARE_BYTES = 1 << 30  # of the disk, left to the shards


class FlatParts:
    """Makes and maps flat parts.

    Args:
        storage: the run directory that is written to. On a disk flat parts lie under its `.partial/`, which the driver
            clears; of one in an object store each worker has its own on this machine.
        settings: hash of what the candidates were made with.
    """

    def __init__(self, storage: Storage, settings: str) -> None:
        if storage.is_local:
            self._folder = storage.local_folder() / PARTIAL / f"flat-{settings[:16]}"
            with _told(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
        else:
            self._own = tempfile.TemporaryDirectory(prefix="tinyaug-")
            self._folder = Path(self._own.name)

    def part(self, part: int, decoded: Callable[[], pa.Table]) -> FlatPart:
        """A part, decoded unless a worker of this machine has done it.

        Args:
            part: its number.
            decoded: reads all of it.

        Returns:
            The part, out of memory if the disk has no room for it.

        Raises:
            DiskFullError: not even its lock has room.
        """
        place = self._folder / f"{part:05d}.arrow"
        with _alone(place.with_suffix(".lock")):
            if not place.exists():
                table = decoded().combine_chunks()  # one piece: rows taken of several would be copied with all others
                if not _written(place, table):
                    return FlatPart(table, table.nbytes)
        with pa.memory_map(str(place)) as source:
            return FlatPart(pa.ipc.open_file(source).read_all())


class FlatPart:
    """A decoded part of the candidate table.

    Args:
        table: its rows; most often memory-mapped.
        memory: bytes of this process that they take.
    """

    def __init__(self, table: pa.Table, memory: int = 0) -> None:
        self._table, self.memory = table, memory

    def take(self, rows: np.ndarray, columns: list[str]) -> pa.Table:
        """Rows by number.

        Args:
            rows: int64 (R,).
            columns: names.
        """
        return self._table.select(columns).take(pa.array(rows))

    def close(self) -> None:
        """Forgets the rows; a file is unmapped when the last table taken from it is gone."""
        del self._table


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Waits until no other worker makes the part; where the file system has no locks two may, which does no harm."""
    with _told(place):
        stream = place.open("w")
    with stream:
        with suppress(OSError):
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def _told(place: Path) -> Iterator[None]:
    """Tells what cannot be written here from candidates that cannot be read."""
    try:
        yield
    except OSError as error:
        raise unwritten(str(place), error) from error


def _written(place: Path, table: pa.Table) -> bool:
    """Writes a flat file, complete or not at all; says whether there was room for it."""
    if shutil.disk_usage(place.parent).free < table.nbytes + SPARE_BYTES:
        return False
    partial = place.with_suffix(f".{uuid.uuid4().hex}")
    try:
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        os.replace(partial, place)
    except OSError:
        partial.unlink(missing_ok=True)
        return False
    return True
