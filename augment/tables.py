"""Rows of a table augmented in memory: texts with their labels and whatever else stands beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from augment.errors import AugmentError
from augment.variant_table import TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from augment.augmenter import Augmenter

OURS = ("source_idx", "variant", "edits")


def augment_table(
    data: Any,
    text: str | tuple[str, str],
    augmenter: Augmenter,
    n: int | None = None,
    p: float | None = None,
    seed: int = 42,
    unique: bool | None = None,
    protect: Iterable[str] = (),
) -> pa.Table:
    """The rows of a table and their variants, with labels and all other columns: what `tinyaug augment` writes.

    They are drawn by row, as a job draws them: equal texts in two rows get variants of their own, and the same model,
    settings and seed give the rows of the job.

    Args:
        data: R rows: an Arrow table, a data frame of pandas or polars, a data set of `datasets`, or a dict of lists.
        text: the column of the texts, or of pairs the two columns.
        augmenter: a masked LM with its settings.
        n: variants of each row; None for the preset's, 20, like the two that follow.
        p: probability of replacing a word.
        seed: an integer from 0 to 2^64 - 1.
        unique: whether variants equal to the original or to one another are drawn again.
        protect: words, phrases and `/regular expressions/` that stay.

    Returns:
        A row for each original (`variant` 0) and each variant, by row and variant: the columns of `data`, `source_idx`
        (int64), `variant` (int32) and `edits`.

    Raises:
        AugmentError: columns that are not there or named like ours, no rows, a bad text, named by its row.
        ModelFailedError: the masked LM fails whatever it is given.
    """
    table = as_table(data)
    names = (text,) if isinstance(text, str) else tuple(text)
    _check(table, names)
    columns = [table.column(name).to_pylist() for name in names]
    texts: Any = columns[0] if len(names) == 1 else list(zip(*columns, strict=True))
    found = augmenter.augment_table(texts, n, p, seed, unique, ids=range(table.num_rows), protect=protect)
    made = dict(zip(names, TEXTS, strict=False))
    others = table.select([name for name in table.column_names if name not in names]).take(found["source_idx"])
    rows = {name: found[made[name]] if name in made else others[name] for name in table.column_names}
    return pa.table({**rows, **{name: found[name] for name in OURS[:2]}, "edits": _named(found["edits"], names)})


def as_table(data: Any) -> pa.Table:
    """Rows in memory as an Arrow table.

    Args:
        data: a table, a data frame, whose index is left out, a data set of `datasets`, or a dict of lists.

    Raises:
        AugmentError: none of these.
    """
    rows = data.with_format("arrow")[:] if hasattr(data, "with_format") else data
    try:
        return pa.table(rows.reset_index(drop=True) if hasattr(rows, "reset_index") else rows)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise AugmentError(
            "data: expected a table, a data frame, a data set or a dict of lists of one length, found "
            f"{type(data).__name__} ({str(error).strip().splitlines()[0]})"
        ) from error


def _check(table: pa.Table, names: tuple[str, ...]) -> None:
    found = ", ".join(table.column_names)
    if len(names) not in (1, 2) or len(set(names)) < len(names):
        raise AugmentError(f"text: expected one column or two different ones, found {names}")
    if missing := [name for name in names if name not in table.column_names]:
        raise AugmentError(f"text: expected a column of the table, found {', '.join(missing)}; it has {found}")
    if taken := [name for name in OURS if name in table.column_names]:
        raise AugmentError(f"data: expected no column named {', '.join(taken)}, which augmented rows get; rename it")
    if not table.num_rows:
        raise AugmentError("data: expected rows, found none")


def _named(edits: pa.ChunkedArray, names: tuple[str, ...]) -> pa.Array:
    """Edits that name the columns of the table."""
    lists = edits.combine_chunks()
    values = lists.values
    fields = dict(zip((field.name for field in values.type), values.flatten(), strict=True))
    fields["column"] = pc.if_else(pc.equal(fields["column"], TEXTS[0]), names[0], names[-1])
    named = pa.StructArray.from_arrays([*fields.values()], fields=list(values.type))
    return pa.ListArray.from_arrays(lists.offsets, named)
