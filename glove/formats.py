"""Readers: words and their numbers from a file or an installed package, as a stream of blocks."""

from __future__ import annotations

from itertools import pairwise
from typing import IO, TYPE_CHECKING

import numpy as np

from glove.containers import open_source
from glove.errors import VectorsError
from glove.text import BLOCK_BYTES, HEADER, PLAIN_NUMBER, Block, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS_AT_ONCE = 65_536


def read_file(path: Path, member: str | None = None) -> Iterator[Block]:
    """Reads GloVe text, word2vec text or word2vec binary, plain or in gzip or zip, by its content.

    Args:
        path: The file.
        member: The file inside a zip, or None.

    Yields:
        Blocks of words and rows, duplicates included.

    Raises:
        VectorsError: The file is not what it should be; lines by number.
    """
    source = f"{path}/{member}" if member else str(path)
    with open_source(path, member) as stream:
        start = stream.read(65_536)

    def count_lines() -> int:
        with open_source(path, member) as stream:
            return sum(1 for line in stream if line.strip())

    with open_source(path, member) as stream:
        yield from _read_binary(stream, source) if _is_binary(start) else read_text(stream, source, count_lines)


def read_package(matrix_file: Path, index_file: Path) -> Iterator[Block]:
    """Reads a vectors package: a matrix as .npy and the words as the column `index` of a Parquet file.

    Args:
        matrix_file: (V, d) floats.
        index_file: V strings.

    Yields:
        Blocks of words and rows.

    Raises:
        VectorsError: The two files do not fit together or cannot be read.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise VectorsError(f"reading {index_file} needs pyarrow; run: pip install pyarrow") from error
    try:
        matrix = np.load(matrix_file, mmap_mode="r", allow_pickle=False)
        words = pyarrow.parquet.read_table(index_file, columns=["index"])["index"].to_pylist()
    except (OSError, ValueError, KeyError) as error:
        raise VectorsError(f"{matrix_file.parent}: damaged ({error}); install the package again") from error
    if matrix.ndim != 2 or len(words) != len(matrix) or not all(words):
        raise VectorsError(
            f"{matrix_file.parent}: expected a word for each of {matrix.shape} rows, found {len(words)}; "
            "install the package again"
        )
    yield from blocks_of(words, matrix, str(matrix_file))


def blocks_of(words: list[str], matrix: np.ndarray, source: str) -> Iterator[Block]:
    """Cuts words and their matrix into blocks.

    Args:
        words: V words.
        matrix: (V, d) numbers, possibly memory-mapped.
        source: Name for error messages.

    Yields:
        Blocks without line numbers.

    Raises:
        VectorsError: A number is not finite.
    """
    for start, stop in pairwise([*range(0, len(words), ROWS_AT_ONCE), len(words)]):
        rows = np.asarray(matrix[start:stop], dtype=np.float32)
        good = np.isfinite(rows).all(axis=1)
        if not good.all():
            word = words[start + int(np.argmin(good))]
            raise VectorsError(
                f"{source}: expected finite numbers, found NaN or infinity for {word!r}; leave that word out"
            )
        yield Block([word.encode() for word in words[start:stop]], rows, None)


def _is_binary(start: bytes) -> bool:
    """Whether a file begins like word2vec's binary: a header line, then bytes that are no text."""
    first, newline, rest = start.partition(b"\n")
    if not newline or not HEADER.match(first):
        return False
    if b"\0" in rest:
        return True
    try:
        rest[: rest.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        fields = rest.partition(b"\n")[0].split()
        return len(fields) <= int(first.split()[1]) or not PLAIN_NUMBER.match(fields[-1])
    return False


def _read_binary(stream: IO[bytes], source: str) -> Iterator[Block]:
    """Reads word2vec's binary: a header, then each word's bytes, a space and its numbers as little-endian singles."""
    stated, dimensions = map(int, stream.readline().split())
    if not stated or not dimensions:
        raise VectorsError(f"{source}: the header promises {stated} words of {dimensions} numbers; get the file again")
    content, left = b"", stated
    while left:
        more = stream.read(BLOCK_BYTES)
        content += more
        words: list[bytes] = []
        rows: list[np.ndarray] = []
        start = 0
        while len(words) < left and (space := content.find(b" ", start)) >= 0:
            end = space + 1 + 4 * dimensions
            if end > len(content):
                break
            words.append(content[start:space].lstrip(b"\n"))
            rows.append(np.frombuffer(content, "<f4", dimensions, space + 1))
            start = end
        if not more and not words:
            raise VectorsError(
                f"{source}: the header promises {stated} words of {dimensions} numbers, found {stated - left}; the "
                "file was cut off: get it again"
            )
        content, left = content[start:], left - len(words)
        try:
            spelled = [word.decode() for word in words]
        except UnicodeDecodeError as error:
            raise VectorsError(f"{source}: a word is not UTF-8 ({error}); get the file again") from error
        if spelled:
            yield from blocks_of(spelled, np.stack(rows), source)
