"""Numbers of distinct texts, given as the texts come, in memory that is bounded by the number of distinct ones."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

DIGEST = "S16"  # compared without trailing NULs, which makes no difference where all have the same length


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


def text_ids(texts: Sequence[bytes], partners: Sequence[bytes] | None = None) -> bytes:
    """`text_id` of many texts.

    Args:
        texts: T texts as UTF-8.
        partners: likewise, the text that each is seen with; None for none.

    Returns:
        16 T bytes.
    """
    parts = [len(text).to_bytes(8, "little") + text for text in texts]
    if partners is not None:
        parts = [part + len(text).to_bytes(8, "little") + text for part, text in zip(parts, partners, strict=True)]
    return b"".join([hashlib.blake2b(part, digest_size=16).digest() for part in parts])


class TextNumbers:
    """Numbers distinct texts by first occurrence.

    Sorted runs of digests and their numbers, of which a later one is at most half as long as the one before it: 20
    bytes a distinct text, and less than 60 at the peak, while the longest two are merged. Repeats take nothing.
    """

    def __init__(self) -> None:
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []
        self.count = 0

    def add(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers the next texts.

        Args:
            ids: uint64 (T, 2) their digests.

        Returns:
            The number of each text, int64 (T,), and bool (T,) whether it occurs for the first time.
        """
        flat = np.ascontiguousarray(ids, dtype=np.uint64).view(DIGEST).reshape(-1)
        digests, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
        numbers = np.full(len(digests), -1, dtype=np.int64)
        for known, known_numbers in self._runs:
            place = np.minimum(np.searchsorted(known, digests), len(known) - 1)
            found = known[place] == digests
            numbers[found] = known_numbers[place[found]]
        new = np.flatnonzero(numbers < 0)
        new = new[np.argsort(first[new])]
        numbers[new] = self.count + np.arange(len(new))
        firsts = np.zeros(len(ids), dtype=bool)
        firsts[first[new]] = True
        self.count += len(new)
        self._keep(np.sort(new), digests, numbers)
        return numbers[inverse], firsts

    def _keep(self, new: np.ndarray, digests: np.ndarray, numbers: np.ndarray) -> None:
        if not len(new):
            return
        self._runs.append((digests[new], numbers[new].astype(np.int32 if self.count < 2**31 else np.int64)))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            short, long = sorted((self._runs.pop(), self._runs.pop()), key=lambda run: len(run[0]))
            place = np.searchsorted(long[0], short[0])
            wide = np.promote_types(long[1].dtype, short[1].dtype)
            merged = np.insert(long[1].astype(wide, copy=False), place, short[1])
            self._runs.append((np.insert(long[0], place, short[0]), merged))
