"""Pairs for next-sentence prediction: by hand, and their shares; nothing of a document is lost."""

from __future__ import annotations

import random
from itertools import chain

import pytest

from distill import next_sentence
from distill.errors import DistillError
from distill.next_sentence import pack_pairs
from distill.packing import Packing
from tests.distill.test_packing import FIRST, LAST, flat, mixed


def shares(number: int, purpose: int, count: int) -> list[float]:
    """The draws in [0, 1) of a pair with that number, in plain integers."""
    state = mixed(mixed(purpose) ^ number)
    return [(mixed((state + one * 0x9E3779B97F4A7C15) % 2**64) >> 11) / 2**53 for one in range(count)]


def naive(documents: list[list[list[int]]], length: int) -> list[tuple[list[int], list[int], int]]:
    """The authors' create_instances_from_document, line by line, with draws by number."""
    found: list[tuple[list[int], list[int], int]] = []
    for place, document in enumerate(documents):
        others = documents[:place] + documents[place + 1 :]
        chunk: list[list[int]] = []
        at, target, draws = 0, 0, [0.0]
        while at < len(document):
            if not chunk:
                draws = shares(len(found), 31, 6)
                target = 2 + int(draws[1] * (length - 4)) if draws[0] < 0.1 else length - 3
            chunk.append(document[at])
            if at == len(document) - 1 or sum(map(len, chunk)) >= target:
                end = 1 if len(chunk) == 1 else 1 + int(draws[2] * (len(chunk) - 1))
                a, b = [*chain(*chunk[:end])], [*chain(*chunk[end:])]
                is_random = len(chunk) == 1 or draws[3] < 0.5
                if is_random:
                    other, b = others[int(draws[4] * len(others))], []
                    for sentence in other[int(draws[5] * len(other)) :]:
                        b += sentence
                        if len(b) >= target - len(a):
                            break
                    at -= len(chunk) - end
                for cut in shares(len(found), 32, max(0, len(a) + len(b) - (length - 3))):
                    (a if len(a) >= len(b) else b).pop(0 if cut < 0.5 else -1)
                ids = [FIRST, *a, LAST, *b, LAST]
                found.append((ids, [0] * (len(a) + 2) + [1] * (len(b) + 1), int(is_random)))
                chunk = []
            at += 1
    return found


def corpus(count: int, longest: int = 12, seed: int = 0) -> list[list[list[int]]]:
    chance = random.Random(seed)
    numbers = iter(range(10, 10**6))
    return [
        [[next(numbers) for _ in range(chance.randint(1, longest))] for _ in range(chance.randint(1, 9))]
        for _ in range(count)
    ]


@pytest.mark.parametrize("length", [5, 6, 16, 40])
def test_packed_as_the_authors_do(length):
    documents = corpus(80)
    assert [tuple(pair) for pair in pack_pairs(flat(documents), Packing(length, FIRST, LAST))] == naive(
        documents, length
    )


def test_by_hand():
    """Draws of the first two pairs; the first is a short one of 2 + ⌊0.875 · 28⌋ tokens, cut at 1 + ⌊0.851 · 2⌋.

    Of the second document, which has one sentence, B is from the other one, from sentence ⌊0.612 · 3⌋ on. In eight
    tokens there is room for five of the first one's six: of equal segments A loses one, here its first.
    """
    drawn = [[round(one, 3) for one in shares(number, 31, 6)] for number in range(2)]
    assert drawn == [[0.087, 0.875, 0.851, 0.728, 0.045, 0.729], [0.708, 0.567, 0.409, 0.991, 0.342, 0.612]]
    first, second = [[10, 11], [20], [30, 31, 32]], [[40, 41]]
    assert [*pack_pairs(flat([first, second]), Packing(32, FIRST, LAST))] == [
        ([2, 10, 11, 20, 3, 30, 31, 32, 3], [0, 0, 0, 0, 0, 1, 1, 1, 1], 0),
        ([2, 40, 41, 3, 20, 30, 31, 32, 3], [0, 0, 0, 0, 1, 1, 1, 1, 1], 1),
    ]
    assert shares(0, 32, 1)[0] < 0.5
    narrow = next(pack_pairs(flat([first, second]), Packing(8, FIRST, LAST)))
    assert narrow == ([2, 11, 20, 3, 30, 31, 32, 3], [0, 0, 0, 0, 1, 1, 1, 1], 0)


def test_shares_over_a_long_corpus():
    documents = corpus(1500, longest=6)
    home = {token: number for number, document in enumerate(documents) for sentence in document for token in sentence}
    pairs, used = [*pack_pairs(flat(documents), Packing(24, FIRST, LAST))], set()
    for ids, types, label in pairs:
        assert 5 <= len(ids) == len(types) <= 24
        a, b = ids[1 : types.index(1) - 1], ids[types.index(1) : -1]
        places = [{home[token] for token in segment} for segment in (a, b)]
        assert [len(one) for one in places] == [1, 1]
        assert (places[0] == places[1]) == (label == 0)
        assert label == 1 or b[0] > a[-1]
        used |= set(a) | set(b)
    long = [pair for pair in pairs if len(documents[home[pair.ids[1]]]) > 6]
    assert 0.4 < sum(pair.next for pair in long) / len(long) < 0.65  # ends of documents have one sentence alone
    assert len(used) > 0.97 * len(home)  # the rest was cut off long pairs


def test_what_is_held_at_once_is_bounded_and_parts_of_a_document_are_told_apart(monkeypatch):
    monkeypatch.setattr(next_sentence, "POOL_TOKENS", 60)
    documents = [*corpus(30, seed=2), [[number] for number in range(10**6, 10**6 + 200)]]
    read, pulled = [], 0

    def watched():
        nonlocal pulled
        for one in flat(documents):
            pulled += 1
            yield one

    for _ in pack_pairs(watched(), Packing(20, FIRST, LAST), read.append):
        assert pulled - read[-1] <= 120
    assert read == sorted(read)
    assert read[-1] == sum(map(len, documents)) + len(documents) - 1


def test_a_single_document_is_refused():
    for documents in ([[[10, 11], [12]]], [[[10]], [], [[]]]):
        with pytest.raises(DistillError, match="expected two documents or more"):
            list(pack_pairs(flat(documents), Packing(16, FIRST, LAST)))
    with pytest.raises(DistillError, match="pairs of at least 5 tokens; found 4"):
        list(pack_pairs(flat([[[1]], [[2]]]), Packing(4, FIRST, LAST)))
    assert list(pack_pairs([], Packing(16, FIRST, LAST))) == []
