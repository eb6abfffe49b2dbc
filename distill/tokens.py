"""Texts, or ids that were made of them before, as flat arrays of token ids; imports neither torch nor transformers."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from distill.errors import DistillError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

    Flat = tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]

LEFT = "left"  # a truncation side; the other one is the rule


def tokenizer_json(tokenizer: PreTrainedTokenizerFast) -> str:
    """A tokenizer as `ShardStream` takes it: its JSON, with the side that its configuration cuts texts at.

    Args:
        tokenizer: a fast one; `backend_tokenizer.to_str()` lacks its `truncation_side` before it has cut a text.
    """
    backend = tokenizer.backend_tokenizer
    if tokenizer.truncation_side == _side(backend):
        return str(backend.to_str())
    own = Tokenizer.from_str(backend.to_str())
    own.enable_truncation(512, direction=tokenizer.truncation_side)  # the length is replaced wherever texts are cut
    return str(own.to_str())


def truncating(tokenizer_json: str, max_length: int) -> Tokenizer:
    """A tokenizer of its own that cuts at `max_length` tokens (longest text first, as transformers does)."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length, strategy="longest_first", direction=_side(tokenizer))
    return tokenizer


def tokenizer_fingerprint(tokenizer_json: str) -> str:
    """Digest of everything that decides how a text becomes ids, whatever was last called on the tokenizer."""
    settings = json.loads(tokenizer_json)
    settings.pop("padding", None)
    truncation = settings.pop("truncation", None) or {}
    if str(truncation.get("direction")).lower() == LEFT:
        settings["truncation_side"] = LEFT
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def encoded(table: pa.Table, texts: tuple[str, ...], tokenizer: Tokenizer) -> Flat:
    """Ids, segment ids and offsets (rows + 1) of a table's texts, special tokens included."""
    columns = [table.column(name).to_pylist() for name in texts]
    found = tokenizer.encode_batch_fast(columns[0] if len(columns) == 1 else list(zip(*columns, strict=True)))
    offsets = _offsets(np.fromiter((len(one) for one in found), np.int64, len(found)))
    total = int(offsets[-1])
    ids = np.fromiter(itertools.chain.from_iterable(one.ids for one in found), np.int32, total)
    types = np.fromiter(itertools.chain.from_iterable(one.type_ids for one in found), np.uint8, total)
    return ids, types, offsets


def stored(table: pa.Table, columns: tuple[str, ...], max_length: int, segments: int = 2) -> Flat:
    """The same of columns of lists, as they stand.

    Args:
        table: with those columns.
        columns: of token ids, and of their segment ids; without the latter they are 0.
        max_length: tokens of a row at most.
        segments: how many there may be; a tokenizer that made them itself may have more than two, as XLNet's.

    Raises:
        DistillError: a list is empty or longer than `max_length`, or segment ids do not fit the token ids.
    """
    column = columns[0]
    ids, lengths = _flat_lists(table, column)
    offsets = _offsets(lengths)
    if len(lengths) and not 1 <= int(lengths.min()) <= int(lengths.max()) <= max_length:
        raise DistillError(
            f"expected 1 to {max_length} token ids in every row of column {column}; found {int(lengths.min())} to "
            f"{int(lengths.max())}. Raise max_length, or pack the corpus again."
        )
    types = np.zeros(len(ids), np.uint8)
    for name in columns[1:]:
        found, sizes = _flat_lists(table, name)
        if not np.array_equal(sizes, lengths) or not np.isin(found, range(segments)).all():
            raise DistillError(
                f"expected a 0 or 1 in column {name} for each token id in column {column}; found other lengths or "
                "values. Pack the corpus again."
            )
        types = found.astype(np.uint8)
    return ids.astype(np.int32), types, offsets


def is_ids(kind: pa.DataType) -> bool:
    """Whether values of that type are lists of token ids."""
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_integer(kind.value_type)


def _side(tokenizer: Tokenizer) -> str:
    """The side that it cuts texts at."""
    return str((tokenizer.truncation or {}).get("direction", "right"))


def _flat_lists(table: pa.Table, column: str) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """The values of a column of lists one after the other, and how many each row has."""
    lists = table.column(column).combine_chunks()
    lengths = np.asarray(lists.value_lengths().to_numpy(zero_copy_only=False), np.int64)
    return lists.flatten().to_numpy(zero_copy_only=False), lengths


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
