"""Word vectors: unit rows, their words, and the way from a word to its row; in memory or mapped from a folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from glove.errors import VectorsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

FORMAT = 1
ARRAYS = ("unit_rows", "word_bytes", "word_offsets", "sorted_hashes", "hash_rows")
ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False)
class WordVectors:
    """V words with their vectors of length one; arrays may be read-only memory maps.

    Attributes:
        name: What the user called them.
        fingerprint: SHA-256 (hex) of the content they were read from.
        unit_rows: (V, d) float32, L2-normalised; zero vectors stay zero.
        word_bytes: (bytes,) uint8, all words in UTF-8 one after another.
        word_offsets: (V + 1,) int64, where each word starts and the last one ends.
        sorted_hashes: (V,) uint64, `word_hashes` of all words, ascending.
        hash_rows: (V,) int32, the row of each sorted hash.
        folder: The converted folder they are mapped from, or None.
    """

    name: str
    fingerprint: str
    unit_rows: np.ndarray
    word_bytes: np.ndarray
    word_offsets: np.ndarray
    sorted_hashes: np.ndarray
    hash_rows: np.ndarray
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.unit_rows)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # A memory map would be pickled as a whole copy; other processes map the same folder instead.
        if self.folder is not None:
            return open_folder, (self.folder, self.name)
        return WordVectors, tuple(getattr(self, field) for field in self.__dataclass_fields__)

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        return int(self.unit_rows.shape[1])

    def word(self, row: int) -> str:
        """The word of a row.

        Args:
            row: Row number, 0 to V - 1.

        Returns:
            The word as the source has it.

        Raises:
            IndexError: There is no such row.
        """
        return self._bytes(row).decode("utf-8")

    def words(self, rows: np.ndarray) -> list[str]:
        """The words of many rows.

        Args:
            rows: (n,) row numbers.

        Returns:
            n words.

        Raises:
            IndexError: There is no such row.
        """
        return [self.word(int(row)) for row in rows]

    def row(self, word: str) -> int | None:
        """The row of exactly this word, case included.

        Args:
            word: Any text.

        Returns:
            Its row, or None if it has no vector.
        """
        try:
            wanted = word.encode("utf-8")
        except UnicodeEncodeError:  # a lone surrogate; no file can hold it
            return None
        key = word_hashes([wanted])[0]
        place = int(np.searchsorted(self.sorted_hashes, key))
        while place < len(self) and self.sorted_hashes[place] == key:  # hashes may collide: compare the word
            row = int(self.hash_rows[place])
            if self._bytes(row) == wanted:
                return row
            place += 1
        return None

    def _bytes(self, row: int) -> bytes:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} words")
        return self.word_bytes[self.word_offsets[row] : self.word_offsets[row + 1]].tobytes()


def vectors_from_arrays(words: Sequence[str], matrix: np.ndarray) -> WordVectors:
    """Makes word vectors from objects in memory.

    Args:
        words: V different words.
        matrix: (V, d) finite numbers.

    Returns:
        The vectors; the fingerprint is that of words and matrix.

    Raises:
        VectorsError: The two do not fit together, a word occurs twice or is empty, a number is not finite.
    """
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    if matrix.ndim != 2 or not matrix.size or len(words) != len(matrix):
        raise VectorsError(f"expected a row for each of {len(words)} words, found an array of {matrix.shape}")
    if len(set(words)) != len(words) or not all(words):
        raise VectorsError("expected different words, found one twice or empty; keep its first row only")
    if not np.isfinite(matrix).all():
        raise VectorsError("expected finite numbers, found NaN or infinity; leave those words out")
    encoded = [word.encode("utf-8") for word in words]
    digest = hashlib.sha256(repr(matrix.shape).encode())
    for word in encoded:
        digest.update(len(word).to_bytes(8, "little") + word)
    digest.update(matrix.astype("<f4", copy=False).tobytes())
    return WordVectors("arrays", digest.hexdigest(), unit_rows(matrix), *word_table(encoded))


def open_folder(folder: Path, name: str | None = None) -> WordVectors:
    """Maps a converted folder.

    Args:
        folder: A folder that `glove.cache` wrote, or a copy of one.
        name: What to call the vectors; None takes the name they were converted under.

    Returns:
        Memory-mapped vectors.

    Raises:
        VectorsError: The folder is something else or damaged.
    """
    vectors = intact_folder(folder, name)
    if vectors is None:
        raise VectorsError(
            f"{folder}: expected a folder of converted vectors (meta.json and {len(ARRAYS)} arrays), found "
            "another or a damaged one; name the GloVe file itself"
        )
    return vectors


def intact_folder(folder: Path, name: str | None) -> WordVectors | None:
    """The vectors of a folder as `open_folder` maps them, or None where it is absent or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["format"] != FORMAT or set(meta["bytes"]) != set(ARRAYS):
            return None
        if any((folder / f"{array}.npy").stat().st_size != meta["bytes"][array] for array in ARRAYS):
            return None
        arrays = {array: _mapped(folder / f"{array}.npy") for array in ARRAYS}
        vectors = WordVectors(name or meta["name"], meta["fingerprint"], **arrays, folder=folder.resolve())
        shape = (meta["words"], meta["dimensions"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return vectors if vectors.unit_rows.shape == shape else None


def _mapped(path: Path) -> np.ndarray:
    """A memory-mapped array, as a plain one: each slice of numpy's own class for them takes ten times as long."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Divides each row by its Euclidean length; zero rows stay zero.

    Args:
        rows: (n, d) float32.

    Returns:
        (n, d) float32.
    """
    result = np.empty(rows.shape, dtype=np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        wide = rows[start : start + ROWS_AT_ONCE].astype(np.float64)  # squares of float32 cannot overflow here
        lengths = np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
        result[start : start + ROWS_AT_ONCE] = wide / np.where(lengths == 0, 1, lengths)
    return result


def word_table(words: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Packs words into arrays that can be memory-mapped.

    Args:
        words: V different words in UTF-8.

    Returns:
        `word_bytes`, `word_offsets`, `sorted_hashes` and `hash_rows` of `WordVectors`.
    """
    offsets = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=offsets[1:])
    hashes = word_hashes(words)
    order = np.argsort(hashes, kind="stable")
    blob = np.frombuffer(b"".join(words), dtype=np.uint8)
    return blob, offsets, hashes[order], order.astype(np.int32)


def word_hashes(words: Iterable[bytes]) -> np.ndarray:
    """BLAKE2b-64 of each word, little-endian.

    Args:
        words: n words in UTF-8.

    Returns:
        (n,) uint64.
    """
    digests = b"".join([hashlib.blake2b(word, digest_size=8).digest() for word in words])
    return np.frombuffer(digests, dtype="<u8")
