"""Packing: whole sentences, as many as fit, never across a document's end; a naive packer decides what is right."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill.errors import DistillError
from distill.masking import UNMASKED, MaskSettings
from distill.packing import Packing, pack, tokenised
from distill.reading import Columns, open_shards
from distill.shards import Position, ShardStream, StreamSettings
from tests.fixtures import VOCABULARY, tiny_tokenizer

FIRST, LAST = 2, 3
JSON = tiny_tokenizer().backend_tokenizer.to_str()


def mixed(value: int) -> int:
    """A step of SplitMix64, in plain integers."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def share(number: int, purpose: int) -> float:
    """The draw in [0, 1) of a sequence with that number."""
    return (mixed((mixed(purpose) + number * 0x9E3779B97F4A7C15) % 2**64) >> 11) / 2**53


def naive(documents: list[list[list[int]]], length: int, pairs: float = 0.0) -> list[tuple[list[int], list[int]]]:
    """A sentence that is too long begins a sequence; its last piece may be followed by others."""
    found: list[tuple[list[int], list[int]]] = []
    for document in documents:
        lines: list[list[list[int]]] = []
        for sentence in document:
            special = 3 if share(len(found) + len(lines) - 1, 21) < pairs else 2
            if lines and sum(map(len, lines[-1])) + len(sentence) + special <= length:
                lines[-1].append(sentence)
                continue
            lines += [[sentence[start : start + length - 2]] for start in range(0, len(sentence), length - 2)]
        for line in lines:
            number, tokens = len(found), [[token for sentence in line for token in sentence]]
            if len(line) > 1 and share(number, 21) < pairs:
                cut = 1 + int(share(number, 22) * (len(line) - 1))
                tokens = [[token for sentence in part for token in sentence] for part in (line[:cut], line[cut:])]
            if len(tokens) == 1:
                found.append(([FIRST, *tokens[0], LAST], [0] * (len(tokens[0]) + 2)))
            else:
                first, second = tokens
                ids = [FIRST, *first, LAST, *second, LAST]
                found.append((ids, [0] * (len(first) + 2) + [1] * (len(second) + 1)))
    return found


def flat(documents):
    for document in documents:
        yield from document
        yield None


@pytest.mark.parametrize("pairs", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("length", [3, 4, 5, 16, 40, 64])
def test_packed_as_a_naive_packer_does(length, pairs, monkeypatch):
    monkeypatch.setattr("distill.packing.DRAWN", 7)  # the draws of a sequence do not depend on those made with them
    chance, sizes = random.Random(length), (1, 1, 2, 5, 17, 30, 70)
    documents = [
        [[chance.randrange(10, 99) for _ in range(chance.choice(sizes))] for _ in range(chance.randint(0, 6))]
        for _ in range(60)
    ]
    found = list(pack(flat(documents), Packing(length, FIRST, LAST, pairs)))
    assert all(3 <= len(ids) <= length and ids[0] == FIRST and ids[-1] == LAST for ids, _ in found)
    inner = [token for ids, _ in found for token in ids if token >= 10]
    assert inner == [token for document in documents for sentence in document for token in sentence]
    assert found == naive(documents, length, pairs)
    assert any(types[-1] for _, types in found) == (pairs > 0 and length > 4)


def test_pairs_by_hand():
    """Draws of the first four sequences: 0.699, 0.407, 0.003, 0.822; their splits: 0.236, 0.415, 0.435, 0.869."""
    document = [[10, 11], [20], [30, 31, 32]]
    single = ([2, 10, 11, 20, 30, 31, 32, 3], [0] * 8)
    early = ([2, 10, 11, 3, 20, 30, 31, 32, 3], [0, 0, 0, 0, 1, 1, 1, 1, 1])
    late = ([2, 10, 11, 20, 3, 30, 31, 32, 3], [0, 0, 0, 0, 0, 1, 1, 1, 1])
    assert list(pack(flat([document] * 4), Packing(9, FIRST, LAST, 0.5))) == [single, early, early, single]
    assert list(pack(flat([document] * 4), Packing(9, FIRST, LAST, 0.9))) == [early, early, early, late]
    narrow = list(pack(flat([document]), Packing(8, FIRST, LAST, 0.9)))  # its six tokens fit into one segment alone
    assert narrow == [([2, 10, 11, 3, 20, 3], [0, 0, 0, 0, 1, 1]), ([2, 30, 31, 32, 3], [0] * 5)]


def test_the_share_of_pairs_and_their_splits():
    """Of long documents of short sentences as many become pairs as were asked for, split at every end of a sentence."""
    documents = [[[number] for number in range(10, 14)] for _ in range(4_000)]  # four sentences fill a sequence
    for pairs in (0.1, 0.5):
        found = list(pack(flat(documents), Packing(7, FIRST, LAST, pairs)))
        splits = [ids.index(LAST) for ids, types in found if types[-1]]
        assert len(splits) / len(found) == pytest.approx(pairs, abs=0.02)
        assert all(splits.count(place) / len(splits) == pytest.approx(1 / 3, abs=0.06) for place in (2, 3, 4))


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


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"length": 2}, "at least 3 tokens; found 2"), ({"pairs": 1.1}, "from 0 to 1; found 1.1")],
)
def test_impossible_packings_are_refused(changes, said):
    with pytest.raises(DistillError, match=said):
        Packing(**{"length": 8, "first": FIRST, "last": LAST, **changes})


def write_ids(folder, rows, kind=None, types=None):
    folder.mkdir(exist_ok=True)
    kind = pa.list_(pa.int32()) if kind is None else kind
    columns = {"input_ids": pa.array(rows, kind)}
    if types is not None:
        columns["token_type_ids"] = pa.array(types, pa.list_(pa.int8()))
    pq.write_table(pa.table(columns), folder / "part-00000.parquet", row_group_size=7)
    return folder


def stream_of(folder, texts=("input_ids",), **changes) -> ShardStream:
    columns = Columns(texts, tokenised=True)
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


PAIRED = ("input_ids", "token_type_ids")


def test_the_stream_gives_pairs_their_segment_ids_and_masks_no_separator(tmp_path):
    chance = np.random.default_rng(0)
    documents = [[chance.integers(7, 60, size).tolist() for size in (3, 2, 4)] for _ in range(40)]
    rows = list(pack(flat(documents), Packing(12, FIRST, LAST, 0.5)))
    assert len({types[-1] for _, types in rows}) == 2
    folder = write_ids(tmp_path / "shards", [ids for ids, _ in rows], types=[types for _, types in rows])
    stream, seen = stream_of(folder, PAIRED, masking=MaskSettings(rate=0.9)), {}
    for batch in stream.batches(Position()):
        whole = np.where(batch.labels == UNMASKED, batch.ids, batch.labels)
        assert (batch.labels != UNMASKED).any()
        assert not np.isin(batch.labels, (FIRST, LAST)).any()
        for ids, types, mask, row in zip(whole, batch.types, batch.mask, batch.row, strict=True):
            assert not types[mask == 0].any()
            seen[int(row)] = (ids[mask == 1].tolist(), types[mask == 1].tolist())
    assert [seen[number] for number in range(len(rows))] == rows


@pytest.mark.parametrize("types", [[[0, 1], [0, 0, 1]], [[0, 2], [0, 0]], [[0, 1], [-1, 0]]])
def test_segment_ids_that_do_not_fit_are_refused(tmp_path, types):
    folder = write_ids(tmp_path / "shards", [[5, 6], [5, 6]], types=types)
    with pytest.raises(DistillError, match="expected a 0 or 1 in column token_type_ids for each token id"):
        next(stream_of(folder, PAIRED).batches(Position()))
