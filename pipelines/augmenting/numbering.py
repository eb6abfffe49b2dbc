"""Numbers of distinct texts, given as the texts come, in memory that is bounded by the number of distinct ones."""

from __future__ import annotations

import numpy as np

DIGEST = "S16"  # compared without trailing NULs, which is no matter where all have the same length


class TextNumbers:
    """Numbers distinct texts by first occurrence.

    Sorted runs of digests and their numbers, of which a later one is at most half as long as the one before it: 20
    bytes a distinct text, and less than 45 at the peak, while the longest two are merged. Repeats take nothing.
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
        digests, first, inverse = np.unique(as_digests(ids), return_index=True, return_inverse=True)
        numbers = np.full(len(digests), -1, dtype=np.int64)
        for known, known_numbers in self._runs:
            place, found = find(known, digests)
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
        small = np.int32 if self.count < 2**31 else np.int64
        self._runs.append((digests[new], numbers[new].astype(small)))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            later, earlier = self._runs.pop(), self._runs.pop()
            self._runs.append(_merged(earlier, later))


def as_digests(ids: np.ndarray) -> np.ndarray:
    """Digests as values that compare and sort.

    Args:
        ids: uint64 (T, 2).

    Returns:
        S16 (T,), a view.
    """
    return np.ascontiguousarray(ids, dtype=np.uint64).reshape(-1, 2).view(DIGEST).reshape(-1)


def find(known: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Looks values up in a sorted array.

    Args:
        known: (U,) sorted, without repeats.
        wanted: (T,) of the same type.

    Returns:
        int64 (T,) a place within `known`, and bool (T,) whether the value stands there.
    """
    if not len(known):
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return place, known[place] == wanted


def _merged(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Two sorted runs as one; no digest stands in both."""
    short, long = sorted((one, other), key=lambda run: len(run[0]))
    place = np.searchsorted(long[0], short[0])
    place += np.arange(len(place))
    from_long = np.ones(len(place) + len(long[0]), dtype=bool)
    from_long[place] = False
    merged = []
    for column in range(2):
        both = np.empty(len(from_long), dtype=np.promote_types(short[column].dtype, long[column].dtype))
        both[place] = short[column]
        both[from_long] = long[column]
        merged.append(both)
    return merged[0], merged[1]
