"""Rows that a caller gives, in memory or as Parquet, as shards to stream; writes tables in memory to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW_GROUP = 4096  # what is read at once


def given_table(data: Any, what: str) -> pa.Table:
    """Rows as an Arrow table.

    Args:
        data: Parquet by its path, a table, a data frame, a data set of `datasets`, or a dict of lists.
        what: the rows, for messages.

    Raises:
        DistillError: none of these, or no rows.
    """
    try:
        if isinstance(data, (str, Path)):
            table = pq.read_table(data)
        else:
            rows = data.with_format("arrow")[:] if hasattr(data, "with_format") else data
            table = pa.table(rows.reset_index(drop=True) if hasattr(rows, "reset_index") else rows)
    except (TypeError, ValueError, OSError, pa.ArrowException) as error:
        raise DistillError(
            f"{what}: expected Parquet, a table, a data frame, a data set or a dict of lists of one length; found "
            f"{data if isinstance(data, (str, Path)) else type(data).__name__} ({str(error).strip().splitlines()[0]}). "
            "Give one of these."
        ) from error
    if not table.num_rows:
        raise DistillError(f"{what}: expected rows; found none. Give some.")
    return table


def chosen_columns(table: pa.Table, names: Sequence[str], what: str) -> pa.Table:
    """The columns that are read, without missing values.

    Args:
        table: rows.
        names: of the columns.
        what: the rows, for messages.

    Raises:
        DistillError: a column that is not there, or a row without a value, by its number.
    """
    if missing := [name for name in names if name not in table.column_names]:
        raise DistillError(
            f"{what}: expected a column {', '.join(missing)}; found {', '.join(table.column_names)}. Name the columns "
            "that the data has."
        )
    for name in names:
        if table.column(name).null_count:
            row = table.column(name).is_null().to_pylist().index(True)
            raise DistillError(f"{what}: expected a value in column {name}; found none in row {row}. Fill it.")
    return table.select(list(dict.fromkeys(names)))


def numbered_labels(table: pa.Table, label: str, classes: Sequence[str], names: Sequence[str] | None) -> pa.Table:
    """The rows with class names replaced by their numbers.

    Args:
        table: rows.
        label: their column of labels: names, or numbers, which stay as they are where they have no names of their own.
        classes: names of a model's classes, by number.
        names: what numbers in the column stand for, as a data set of `datasets` says; None for the model's classes.

    Raises:
        DistillError: a name that the model does not have, by its row.
    """
    column = table.column(label).combine_chunks()
    if names is not None:
        column = pa.array(names).take(column)
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return table
    numbers = pc.index_in(column, pa.array(classes, column.type))
    if numbers.null_count:
        row = numbers.is_null().to_pylist().index(True)
        raise DistillError(
            f"expected labels of the teacher ({', '.join(classes)}) in column {label}; found {column[row].as_py()!r} "
            f"in row {row}. Give the names of its config.json, or their numbers."
        )
    return table.set_column(table.column_names.index(label), label, numbers.cast(pa.int64()))


def written(table: pa.Table, place: Path) -> str:
    """Writes rows as a shard, which is there complete or not at all.

    Args:
        table: rows; class labels of other libraries are left to their numbers.
        place: of the file.

    Returns:
        The place, as `open_shards` takes it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_suffix(".tmp")
    pq.write_table(table.replace_schema_metadata(None), temporary, row_group_size=ROW_GROUP)
    temporary.replace(place)
    return str(place)
