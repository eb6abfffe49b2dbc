"""Tokenised chunks, each made once and read memory-mapped from then on; imports neither torch nor transformers.

One Arrow file a chunk, of the columns that a packed corpus has, so epochs after the first, later stages over the
same rows and other processes read ids in place of texts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from distill.reading import read_table
from distill.tokens import encoded, tokenizer_fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

    from distill.order import Chunk
    from distill.reading import Columns, ShardFiles
    from distill.shards import ShardStream

IDS, TYPES = "input_ids", "token_type_ids"
SHORT = 2**16  # ids below it take two bytes
SPARE_BYTES = 1 << 30  # left free for checkpoints, which share the disk


@dataclass(frozen=True)
class TokenStore:
    """Where the tokenised chunks of one data set lie.

    Args:
        folder: of their files, on this machine; made when the first one is written.
        chunk_rows: rows of a chunk, but for the last one of a row group.
    """

    folder: Path
    chunk_rows: int

    @staticmethod
    def of(stream: ShardStream, root: Path, tokenizer_json: str) -> TokenStore:
        """The store of a stream's rows under `root`; another tokenizer, length, column or file makes another one.

        Args:
            stream: whose shards are read for their digests, unless these are known.
            root: of all stores of a run.
            tokenizer_json: the stream's tokenizer, or its teacher's.
        """
        shards = [stream.files.sha256(shard) for shard in range(len(stream.files.paths))]
        tokenizer, settings = tokenizer_fingerprint(tokenizer_json), stream.settings
        told = [shards, asdict(stream.columns), tokenizer, settings.max_length, settings.chunk_rows]
        return TokenStore(root / hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16], settings.chunk_rows)

    @staticmethod
    def columns(columns: Columns) -> Columns:
        """The columns that `read` gives."""
        return replace(columns, texts=(IDS, TYPES), tokenised=True)

    def read(self, piece: Chunk, files: ShardFiles, columns: Columns, tokenizer: Tokenizer) -> pa.Table:
        """The rows of a chunk or of a piece of one, tokenised; a chunk that is not there, or damaged, is made and kept.

        Args:
            piece: what to read.
            files: the shards.
            columns: texts and label.
            tokenizer: cuts at the store's length.

        Raises:
            DistillError: as `distill.reading.read_table`, for any row of the chunk.
        """
        start = piece.skip // self.chunk_rows * self.chunk_rows
        before = piece.skip - start
        path = self.folder / f"{piece.shard:05d}-{piece.row_group:05d}-{start:09d}.arrow"
        table = None
        with suppress(OSError, pa.ArrowInvalid), pa.memory_map(str(path)) as source:  # not there, or damaged
            table = pa.ipc.open_file(source).read_all()
        if table is None:
            rows = min(self.chunk_rows, files.row_groups[piece.shard][piece.row_group] - start)
            whole = replace(piece, skip=start, row=piece.row - before, rows=rows)
            table = _tokenised(read_table(files, whole, columns), columns, tokenizer)
            _keep(table, path)
        return table.slice(before, piece.rows)


def _tokenised(table: pa.Table, columns: Columns, tokenizer: Tokenizer) -> pa.Table:
    ids, types, offsets = encoded(table, columns.texts, tokenizer)
    short = tokenizer.get_vocab_size() <= SHORT
    bounds = pa.array(offsets.astype(np.int32))
    made = {
        IDS: pa.ListArray.from_arrays(bounds, pa.array(ids.astype(np.uint16) if short else ids)),
        TYPES: pa.ListArray.from_arrays(bounds, pa.array(types)),
    }
    return pa.table(made | ({columns.label: table.column(columns.label)} if columns.label else {}))


def _keep(table: pa.Table, path: Path) -> None:
    """Writes a chunk under a name of its own, then renames it: a process of any host may write the same one."""
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(path.parent).free < table.nbytes + SPARE_BYTES:
            return
        with temporary.open("wb") as sink:
            with pa.ipc.new_file(sink, table.schema) as file:
                file.write_table(table.combine_chunks())
            sink.flush()
            os.fsync(sink.fileno())
        temporary.replace(path)
    except OSError:  # no room: the store only saves time, and rows can be tokenised anew
        temporary.unlink(missing_ok=True)
