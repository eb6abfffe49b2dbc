"""Numbers of distinct texts, given as the texts come, in memory that is bounded by the number of distinct ones."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

AT_ONCE = 2**16  # texts that are put into the table at a time


def text_id(*texts: str) -> bytes:
    """Digest of a text, with the partner it is seen with if there is one.

    Args:
        texts: the text and, with `pair_context`, its partner.

    Returns:
        16 bytes: BLAKE2b-128 over the UTF-8 texts, each after its length in bytes as 8 bytes, little endian.
    """
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()


def text_ids(texts: pa.Array, partners: pa.Array | None = None) -> bytes:
    """`text_id` of many texts.

    Args:
        texts: string (T,), without nulls.
        partners: likewise, the text that each is seen with; None for none.

    Returns:
        16 T bytes.
    """
    columns = [texts] if partners is None else [texts, partners]
    pieces = [piece for column in columns for piece in (_sizes(column), column.cast(pa.binary()))]
    wholes = pc.binary_join_element_wise(*pieces, b"").to_pylist()
    return b"".join([digest.digest() for digest in map(partial(hashlib.blake2b, digest_size=16), wholes)])


def _sizes(texts: pa.Array) -> pa.Array:
    """The length of each text in bytes, as 8 bytes."""
    sizes = np.asarray(pc.binary_length(texts)).astype("<i8")
    return pa.Array.from_buffers(pa.binary(8), len(sizes), [None, pa.py_buffer(sizes)]).cast(pa.binary())


class TextNumbers:
    """Numbers distinct texts by first occurrence.

    A hash table of numbers, at most half full, over the digests in the order of these: 24 to 36 bytes a distinct text.
    Repeats take nothing.
    """

    def __init__(self) -> None:
        self._digests = np.empty((1024, 2), np.uint64)  # by number; some more than there are
        self._slots = np.full(1024, -1, np.int32)  # numbers; -1 for none
        self.count = 0

    def add(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers the next texts.

        Args:
            ids: uint64 (T, 2) their digests.

        Returns:
            The number of each text, int64 (T,), and bool (T,) whether it occurs for the first time.
        """
        flat = pa.py_buffer(np.ascontiguousarray(ids, dtype=np.uint64))
        encoded = pa.Array.from_buffers(pa.binary(16), len(ids), [None, flat]).dictionary_encode()
        places, distinct = np.asarray(encoded.indices), encoded.dictionary  # in the order of first occurrence
        digests = np.frombuffer(distinct.buffers()[1], np.uint64, 2 * len(distinct)).reshape(-1, 2)
        numbers, slots = self._find(digests)
        new = numbers < 0
        numbers[new] = np.arange(self.count, self.count + new.sum())
        self._keep(digests[new], slots[new])
        is_first = np.diff(np.maximum.accumulate(places), prepend=-1) > 0
        return numbers[places], is_first & new[places]

    def _find(self, digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of distinct texts, int64, -1 for those that are not known, and the slots where that was seen."""
        numbers, slots, left = np.full(len(digests), -1, np.int64), self._first_slots(digests), np.arange(len(digests))
        while len(left):
            held = self._slots[slots[left]]
            left, held = left[held >= 0], held[held >= 0]
            halves = self._digests.take(held, axis=0) == digests.take(left, axis=0)
            same = halves[:, 0] & halves[:, 1]
            numbers[left[same]] = held[same]
            left = left[~same]
            slots[left] = self._next_slots(slots[left])
        return numbers, slots

    def _keep(self, digests: np.ndarray, slots: np.ndarray) -> None:
        """Takes distinct texts that are not known, and the free slots where they were looked for."""
        first, self.count = self.count, self.count + len(digests)
        if self.count > len(self._digests):
            self._digests.resize((self.count + self.count // 4, 2), refcheck=False)  # in place, where that can be
        self._digests[first : self.count] = digests
        if 2 * self.count <= len(self._slots):
            self._place(np.arange(first, self.count), slots)
            return
        size = 1 << (2 * self.count - 1).bit_length()
        self._slots = np.full(size, -1, np.int32 if self.count < 2**31 else np.int64)
        for start in range(0, self.count, AT_ONCE):
            numbers = np.arange(start, min(start + AT_ONCE, self.count))
            self._place(numbers, self._first_slots(self._digests[numbers]))

    def _place(self, numbers: np.ndarray, slots: np.ndarray) -> None:
        """Writes numbers into slots or, where these are taken, into the next free ones."""
        while len(numbers):
            free = self._slots[slots] < 0
            self._slots[slots[free]] = numbers[free]  # the last of those that have the same slot stays there
            left = self._slots[slots] != numbers
            numbers, slots = numbers[left], self._next_slots(slots[left])

    def _first_slots(self, digests: np.ndarray) -> np.ndarray:
        return (digests[:, 0] ^ digests[:, 1]).astype(np.int64) & (len(self._slots) - 1)

    def _next_slots(self, slots: np.ndarray) -> np.ndarray:
        return (slots + 1) & (len(self._slots) - 1)
