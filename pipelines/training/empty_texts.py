"""Training rows without a word: whoever learns from them learns nothing, and nothing else would say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distill.shards import ShardStream


def empty_note(stream: ShardStream) -> tuple[str, ...]:
    """What to say where all texts are empty, or white space; where one is not, reading stops with its row group.

    Args:
        stream: the training rows.

    Raises:
        DistillError: a row group that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from distill.stores import reading

    files, names = stream.files, list(stream.columns.texts)
    for path, sizes in zip(files.paths, files.row_groups, strict=True):
        with reading(f"texts of {path}"), pq.ParquetFile(path, filesystem=files.filesystem) as file:
            for group in range(len(sizes)):
                for column in file.read_row_group(group, columns=names).columns:
                    trimmed = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
                    if pc.any(pc.not_equal(trimmed, "")).as_py():
                        return ()
    return (f"training rows with empty texts: {files.rows:,} of {files.rows:,}; there is nothing to learn from them",)
