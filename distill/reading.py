"""Reads and tokenises rows of Parquet shards.

Runs in worker processes, so it imports neither torch nor transformers. This module, digests and teacher_cache are
the ones that touch the disk for data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from distill.digests import file_sha256
from distill.errors import DistillError
from distill.stores import reading, without_credentials
from distill.tokens import encoded, is_ids, stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from distill.order import Chunk
    from distill.token_store import TokenStore


TEXT = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())  # bytes that are UTF-8 are text, too
MOST_SEGMENTS = 256  # of rows that a tokenizer made: a byte each


@dataclass(frozen=True)
class Columns:
    """What to read of a shard.

    Attributes:
        texts: one text column, or two for pairs, in order; of `tokenised` rows the column of token ids, and the one of
            their segment ids where there is one.
        label: label column, or None to read no labels.
        classes: number of classes, for integer labels 0 … classes - 1; None for a real-valued score.
        tokenised: the columns hold lists of ids, special tokens included, that are taken as they stand.
    """

    texts: tuple[str, ...]
    label: str | None = None
    classes: int | None = None
    tokenised: bool = False

    def __post_init__(self) -> None:
        if len(self.texts) not in (1, 2) or len(set(self.texts)) != len(self.texts):
            raise DistillError(
                f"expected one text column or two different ones; found {self.texts}. Name the task's columns."
            )

    @property
    def names(self) -> list[str]:
        """The columns that are read, and no others."""
        return [*self.texts, *([self.label] if self.label else [])]


@dataclass(frozen=True)
class ShardFiles:
    """The shards of a data set, in order, on any pyarrow file system.

    Attributes:
        filesystem: where they are; workers get a copy of it.
        paths: one a shard.
        row_groups: rows of each row group of each shard, from the footers.
    """

    filesystem: fs.FileSystem
    paths: tuple[str, ...]
    row_groups: tuple[tuple[int, ...], ...]

    @property
    def rows(self) -> int:
        """Rows of the whole data set."""
        return sum(sum(sizes) for sizes in self.row_groups)

    def shard_rows(self, shard: int) -> int:
        """Rows of one shard."""
        return sum(self.row_groups[shard])

    def sha256(self, shard: int) -> str:
        """The shard's digest; a file is read for it once."""
        return file_sha256(self.filesystem, self.paths[shard])


@dataclass(frozen=True)
class TokenRows:
    """Tokenised rows, flat: row i owns tokens offsets[i] to offsets[i + 1].

    Attributes:
        ids: token ids int32.
        types: segment ids uint8.
        offsets: int64, one more than rows.
        shard: index of each row's shard, int32.
        row: each row's number in its shard, int64.
        labels: float64, or None.
    """

    ids: NDArray[np.int32]
    types: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    shard: NDArray[np.int32]
    row: NDArray[np.int64]
    labels: NDArray[np.float64] | None

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each row."""
        return np.diff(self.offsets).astype(np.int32)


def open_shards(location: str, columns: Columns, filesystem: fs.FileSystem | None = None) -> ShardFiles:
    """Lists a folder's Parquet files (or one file) and reads their footers.

    Args:
        location: a path, or a URI such as s3://bucket/folder when no file system is given.
        columns: what will be read; checked against every shard.
        filesystem: a pyarrow file system that `location` is a path of.

    Returns:
        The shards in the order of their names.

    Raises:
        DistillError: nothing there, nothing that can be listed, an unreadable shard, a missing column, no rows.
    """
    shown = without_credentials(location)
    try:
        if filesystem is None and "://" in location:
            filesystem, location = fs.FileSystem.from_uri(location)
        filesystem = filesystem or fs.LocalFileSystem()
        paths = _parquet_paths(filesystem, location)
    except (pa.ArrowException, OSError) as error:
        raise DistillError(
            f"expected Parquet shards in {shown}; it cannot be listed ({without_credentials(str(error))}). Check the "
            "address, the network and the access to it."
        ) from error
    groups = tuple(_read_footer(filesystem, path, columns) for path in paths)
    files = ShardFiles(filesystem, tuple(paths), groups)
    if files.rows == 0:
        found = "its one shard has" if len(paths) == 1 else f"its {len(paths)} shards have"
        raise DistillError(f"expected rows in {shown}; {found} none. Check the folder.")
    return files


def read_rows(
    files: ShardFiles, chunks: Sequence[Chunk], columns: Columns, tokenizer: Tokenizer, store: TokenStore | None = None
) -> TokenRows:
    """Reads chunks, row group by row group, and tokenises their rows, in the order of `chunks`.

    Args:
        files: the shards.
        chunks: what to read of them.
        columns: which columns.
        tokenizer: made by `distill.tokens.truncating`; of rows that are tokenised it sets the length alone.
        store: keeps what was tokenised; None tokenises anew.

    Raises:
        DistillError: unreadable row group, missing text, bad label; the message names shard and row.
    """
    if store is None:
        table = pa.concat_tables([read_table(files, chunk, columns) for chunk in chunks])
    else:
        table = pa.concat_tables([store.read(chunk, files, columns, tokenizer) for chunk in chunks])
        columns = store.columns(columns)
    if columns.tokenised:
        length, segments = (tokenizer.truncation or {})["max_length"], 2 if store is None else MOST_SEGMENTS
        ids, types, offsets = stored(table, columns.texts, length, segments)
    else:
        ids, types, offsets = encoded(table, columns.texts, tokenizer)
    return TokenRows(
        ids=ids,
        types=types,
        offsets=offsets,
        shard=np.repeat(np.array([c.shard for c in chunks], np.int32), [c.rows for c in chunks]),
        row=np.concatenate([np.arange(c.row, c.row + c.rows, dtype=np.int64) for c in chunks]),
        labels=_labels(table, columns),
    )


def read_table(files: ShardFiles, chunk: Chunk, columns: Columns) -> pa.Table:
    """A chunk's rows, checked: one row group's needed columns, cut by a copy that lets the rest of the group go.

    Args:
        files: the shards.
        chunk: what to read of them.
        columns: which columns.

    Raises:
        DistillError: as `read_rows`.
    """
    path = files.paths[chunk.shard]
    with (
        reading(f"row group {chunk.row_group} of {path}"),
        pq.ParquetFile(path, filesystem=files.filesystem) as file,
    ):
        table = file.read_row_group(chunk.row_group, columns=columns.names, use_threads=False)
        wanted = table.take(pa.array(np.arange(chunk.skip, chunk.skip + chunk.rows)))
        for index, name in enumerate(wanted.column_names):
            if not columns.tokenised and name in columns.texts and wanted.schema.field(index).type != pa.string():
                wanted = wanted.set_column(index, name, wanted.column(index).cast(pa.string()))
    _check_rows(path, chunk, wanted, columns)
    return wanted


def _parquet_paths(filesystem: fs.FileSystem, location: str) -> list[str]:
    info = filesystem.get_file_info(location)
    if info.type == fs.FileType.File:
        return [location]
    entries = filesystem.get_file_info(fs.FileSelector(location, allow_not_found=True))
    found = sorted(e.path for e in entries if e.path.endswith(".parquet") and not e.base_name.startswith((".", "_")))
    if not found:
        raise DistillError(
            f"expected Parquet shards in {location}; found none. Give the folder they lie in, such as "
            "runs/sst2/augmented/data."
        )
    return found


def _read_footer(filesystem: fs.FileSystem, path: str, columns: Columns) -> tuple[int, ...]:
    with reading(f"a whole Parquet file at {path}"):
        metadata = pq.read_metadata(path, filesystem=filesystem)
    schema = metadata.schema.to_arrow_schema()
    missing = [name for name in columns.names if name not in schema.names]
    if missing:
        raise DistillError(
            f"expected columns {', '.join(columns.names)} in {path}; {', '.join(missing)} missing, found "
            f"{', '.join(schema.names)}. Name the columns that the data has."
        )
    _check_texts(path, schema, columns)
    return tuple(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups))


def _check_texts(path: str, schema: pa.Schema, columns: Columns) -> None:
    for name in columns.texts:
        kind = schema.field(name).type
        if columns.tokenised and not is_ids(kind):
            raise DistillError(f"expected lists of token ids in column {name} of {path}; found {kind}. Name another.")
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not columns.tokenised and kind not in TEXT:
            raise DistillError(f"expected text in column {name} of {path}; found {kind}. Name a text column.")


def _check_rows(path: str, chunk: Chunk, table: pa.Table, columns: Columns) -> None:
    for name in columns.names:
        if table.column(name).null_count:
            row = chunk.row + table.column(name).is_null().to_pylist().index(True)
            raise DistillError(f"expected a value in column {name}; found none in {path}, row {row}. Fill it.")
    if columns.label is None:
        return
    labels = _labels(table, columns)
    assert labels is not None  # narrows the type: there is a label column
    bad = ~np.isfinite(labels)
    allowed = "a finite number"
    if columns.classes is not None:
        bad = ~((labels >= 0) & (labels < columns.classes) & (labels == np.floor(labels)))
        allowed = f"an integer from 0 to {columns.classes - 1}"
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise DistillError(
            f"expected {allowed} in column {columns.label}; found {labels[at]:g} in {path}, row "
            f"{chunk.row + at}. Check the labels, or the number of classes of the model."
        )


def _labels(table: pa.Table, columns: Columns) -> NDArray[np.float64] | None:
    if columns.label is None:
        return None
    values: Any = pc.cast(table.column(columns.label), pa.float64())
    return np.asarray(values.to_numpy())
