"""Packing: whole sentences, as many as fit, never across a document's end; a naive packer decides what is right."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.errors import DistillError
from distill.packing import Packing, pack, tokenised
from distill.reading import Columns, open_shards
from distill.shards import Position, ShardStream, StreamSettings
from tests.fixtures import VOCABULARY, tiny_tokenizer

FIRST, LAST = 2, 3
JSON = tiny_tokenizer().backend_tokenizer.to_str()


def naive(documents: list[list[list[int]]], length: int) -> list[list[int]]:
    """A sentence that is too long begins a sequence; its last piece may be followed by others."""
    found = []
    for document in documents:
        lines: list[list[int]] = []
        for sentence in document:
            if lines and len(lines[-1]) + len(sentence) <= length - 2:
                lines[-1] = lines[-1] + sentence
                continue
            lines += [sentence[start : start + length - 2] for start in range(0, len(sentence), length - 2)]
        found += [[FIRST, *line, LAST] for line in lines]
    return found


def flat(documents):
    for document in documents:
        yield from document
        yield None


@pytest.mark.parametrize("length", [3, 5, 16, 40])
def test_packed_as_a_naive_packer_does(length):
    chance = random.Random(length)
    documents = [
        [[chance.randrange(10, 99) for _ in range(chance.randint(1, 30))] for _ in range(chance.randint(0, 6))]
        for _ in range(60)
    ]
    found = list(pack(flat(documents), Packing(length, FIRST, LAST)))
    assert all(3 <= len(one) <= length and one[0] == FIRST and one[-1] == LAST for one in found)
    inner = [token for one in found for token in one[1:-1]]
    assert inner == [token for document in documents for sentence in document for token in sentence]
    assert found == naive(documents, length)


def test_tokens_are_those_of_the_tokenizer_and_special_ones_ordinary_text():
    texts = ["a good film .", None, "the [SEP] and [MASK] !", "中文", None, None]
    found = list(tokenised(iter(texts), JSON))
    known = [ids for ids in found if ids is not None]
    assert [ids is None for ids in found[:6]] == [text is None for text in texts]
    assert known[0] == [VOCABULARY.index(word) for word in "a good film .".split()]
    assert VOCABULARY.index("[SEP]") not in known[1]
    assert VOCABULARY.index("[MASK]") not in known[1]
    assert [VOCABULARY[number] for number in known[1]][:4] == ["the", "[", "s", "##e"]
    assert len(known[2]) == 2


def test_batches_of_the_tokenizer_change_nothing(monkeypatch):
    texts = ["a good film .", None, "a bad one", "two dogs", None] * 20
    whole = list(tokenised(iter(texts), JSON))
    monkeypatch.setattr("distill.packing.BATCH_CHARACTERS", 7)
    assert [ids for ids in tokenised(iter(texts), JSON) if ids] == [ids for ids in whole if ids]


def test_too_short_sequences_are_refused():
    with pytest.raises(DistillError, match="at least 3 tokens; found 2"):
        Packing(2, FIRST, LAST)


def write_ids(folder, rows, kind=None):
    folder.mkdir(exist_ok=True)
    kind = pa.list_(pa.int32()) if kind is None else kind
    pq.write_table(pa.table({"input_ids": pa.array(rows, kind)}), folder / "part-00000.parquet", row_group_size=7)
    return folder


def stream_of(folder, **changes) -> ShardStream:
    columns = Columns(("input_ids",), tokenised=True)
    settings = StreamSettings(**({"max_length": 12, "batch_rows": 8, "workers": 0, "chunk_rows": 5} | changes))
    return ShardStream(open_shards(str(folder), columns), columns, JSON, 0, settings)


@pytest.mark.parametrize("kind", [pa.list_(pa.int32()), pa.large_list(pa.int64())])
def test_the_stream_gives_packed_rows_as_they_are(tmp_path, kind):
    rows = [list(range(2, 2 + size)) for size in np.random.default_rng(0).integers(3, 13, 40).tolist()]
    stream = stream_of(write_ids(tmp_path / "shards", rows, kind))
    seen = {}
    for batch in stream.batches(Position()):
        assert not batch.types.any()
        for ids, mask, row in zip(batch.ids, batch.mask, batch.row, strict=True):
            seen[int(row)] = ids[mask == 1].tolist()
    assert [seen[number] for number in range(40)] == rows


def test_what_is_no_list_of_ids_or_too_long_is_refused(tmp_path):
    with pytest.raises(DistillError, match=r"expected 1 to 12 token ids .* found 1 to 13"):
        next(stream_of(write_ids(tmp_path / "long", [[5], [5] * 13])).batches(Position()))
    with pytest.raises(DistillError, match=r"found 0 to 1"):
        next(stream_of(write_ids(tmp_path / "empty", [[5], []])).batches(Position()))
    with pytest.raises(DistillError, match="expected lists of token ids in column input_ids"):
        stream_of(write_ids(tmp_path / "text", ["a", "b"], pa.string()))
    with pytest.raises(DistillError, match="expected one column of token ids"):
        Columns(("a", "b"), tokenised=True)
