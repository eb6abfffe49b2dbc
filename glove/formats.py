"""Readers: words and their numbers from a file or an installed package, as a stream of blocks."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from glove.containers import is_packed, open_source
from glove.errors import VectorsError
from glove.text import HEADER, PLAIN_NUMBER, Block, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS_AT_ONCE = 65_536
DEFLATE_LIMIT = 1100  # deflate packs at most about 1032 bytes into one


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
    if _is_binary(start):
        yield from _read_binary(path, member, source, start)
        return

    def count_lines() -> int:
        with open_source(path, member) as stream:
            return sum(1 for line in stream if line.strip())

    with open_source(path, member) as stream:
        yield from read_text(stream, source, count_lines)


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


@contextmanager
def _unpacked(path: Path, member: str | None) -> Iterator[Path]:
    """A plain file with the content: gensim wants a path and goes by its suffix."""
    with TemporaryDirectory() as folder:
        plain = Path(folder) / "vectors.bin"
        if is_packed(path):
            with open_source(path, member) as packed, plain.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, ROWS_AT_ONCE)
        else:
            plain.symlink_to(path.resolve())
        yield plain


def _read_binary(path: Path, member: str | None, source: str, start: bytes) -> Iterator[Block]:
    stated, dimensions = (int(field) for field in start.split(b"\n", 1)[0].split())
    # Checked first because gensim makes room for what the header says.
    room = path.stat().st_size * (DEFLATE_LIMIT if is_packed(path) else 1)
    if not stated or not dimensions or stated * (4 * dimensions + 1) > room:
        raise VectorsError(
            f"{source}: the header promises {stated} words of {dimensions} numbers, found a file too small "
            "for them; it was cut off, get it again"
        )
    from gensim.models import KeyedVectors

    try:
        with _unpacked(path, member) as plain:
            read = KeyedVectors.load_word2vec_format(str(plain), binary=True)
    except UnicodeDecodeError as error:
        raise VectorsError(f"{source}: a word is not UTF-8 ({error}); get the file again") from error
    except EOFError as error:
        raise VectorsError(f"{source}: the data end too early, the file was cut off; get it again") from error
    except VectorsError:
        raise
    except ValueError as error:
        raise VectorsError(f"{source}: not word2vec binary ({error}); get the file again") from error
    yield from blocks_of(list(read.index_to_key), read.vectors, source)
