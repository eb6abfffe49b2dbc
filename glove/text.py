"""Reads the text of GloVe and word2vec files: one word a line, followed by its numbers."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from glove.errors import VectorsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK_BYTES = 8 << 20  # big enough to hide Python's overhead, small enough to stay cheap in memory
LONGEST_LINE = 32 << 20  # longer than any vector; stops binary garbage without line ends
SAMPLE_LINES = 1000
MISCOUNTED = 0.01  # share of its words that a header may count too many; fewer lines are a file that was cut off
HEADER = re.compile(rb"([0-9]{1,12}) ([0-9]{1,6}) *\r?\Z")
NUMBER_WITH_POINT = re.compile(rb"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?\Z")
PLAIN_NUMBER = re.compile(rb"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\Z")
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Some consecutive words of a source.

    Attributes:
        words: Their UTF-8 bytes, n of them.
        rows: (n, d) float32, finite, as the source has them.
        first_line: Line number of the first word, from 1; None where a source has no lines.
        note: What to say once all is read; empty where there is nothing.
    """

    words: list[bytes]
    rows: np.ndarray
    first_line: int | None
    note: str = ""


@dataclass(frozen=True)
class Layout:
    """What the first lines of a file say about it.

    Attributes:
        dimensions: Numbers on a line.
        stated: Words that the word2vec header promises, or None without a header.
    """

    dimensions: int
    stated: int | None


def read_text(stream: IO[bytes], source: str, count_lines: Callable[[], int]) -> Iterator[Block]:
    """Reads a GloVe text or a word2vec text with its header, block by block.

    Words may hold spaces (as in GloVe 840B): the last d fields are the numbers. A line with more fields is
    taken for such a word unless the field before the numbers is itself a number with a point or exponent.

    Args:
        stream: The unpacked bytes.
        source: Name for error messages.
        count_lines: Counts all lines; called only where `5 1` may be a header or a word with one number.

    Yields:
        Blocks in the order of the file, duplicates included; a last one without words where something is to be said.

    Raises:
        VectorsError: The first line that is not a word and d finite numbers, by its number, or a file that was cut
            off, by what its header promises.
    """
    layout: Layout | None = None
    line_number, found, wordless = 1, 0, 0
    ends = _Ends()
    for lines in _nonblank(_line_blocks(stream, source, ends), source):
        if layout is None:
            layout = find_layout(lines, source, count_lines)
            if layout.stated is not None:
                lines, line_number = lines[1:], 2
        if lines:
            for block in _parse(lines, layout.dimensions, source, line_number):
                yield block
                wordless -= len(block.words)
            wordless += len(lines)
        line_number += len(lines)
        found += len(lines)
    if layout is None or found == wordless:
        raise VectorsError(f"{source}: expected words with their numbers, found an empty file; get it again")
    notes = [f"left out {wordless} line{'s' * (wordless != 1)} without a word"] if wordless else []
    if layout.stated is not None and layout.stated != found:
        missing = layout.stated - found
        if missing > 0 and (not ends.whole or missing > max(1, layout.stated * MISCOUNTED)):
            raise VectorsError(
                f"{source}: the header promises {layout.stated} words, found {found}; the file was cut off: get it "
                "again, or correct its first line where it was shortened on purpose"
            )
        notes.append(f"warning: the header promises {layout.stated} words, found {found}; all of them are read")
    if notes:
        yield Block([], np.empty((0, layout.dimensions), np.float32), None, f"{source}: {'; '.join(notes)}")


@dataclass
class _Ends:
    """Whether the last line of a file has its end: one that was cut off seldom has."""

    whole: bool = True


def find_layout(lines: list[bytes], source: str, count_lines: Callable[[], int]) -> Layout:
    """Finds dimensions and header from the first lines of a file.

    Args:
        lines: The first lines, at least one.
        source: Name for error messages.
        count_lines: See `read_text`.

    Returns:
        The layout; without a header the commonest field count of the first lines decides, because a word
        with spaces has more fields and a broken line may have fewer.

    Raises:
        VectorsError: The lines are no vectors, or contradict the header.
    """
    header = HEADER.match(lines[0])
    body = lines[1 : SAMPLE_LINES + 1] if header else lines[:SAMPLE_LINES]
    counts = Counter(len(line.rstrip(b" ").split(b" ")) - 1 for line in body)
    common = counts.most_common(1)[0][0] if counts else 0
    if header:
        stated, dimensions = int(header[1]), int(header[2])
        if dimensions == 1 and common in (0, 1):
            return Layout(1, stated if count_lines() - 1 == stated else None)
        if dimensions == common or (dimensions and counts and min(counts) >= dimensions):
            return Layout(dimensions, stated)
        if common == 1:
            return Layout(1, None)  # a GloVe file of one dimension that begins with two integers
        raise VectorsError(
            f"{source}, line 1: the header promises {stated} words of {dimensions} numbers, "
            f"found {common} numbers on the lines that follow; get the file again"
        )
    if common < 1:
        raise VectorsError(
            f"{source}: expected a word and its numbers on each line, separated by spaces, "
            f"found {_shown(lines[0])} on line 1; is this a GloVe or word2vec file?"
        )
    return Layout(common, None)


def _line_blocks(stream: IO[bytes], source: str, ends: _Ends) -> Iterator[list[bytes]]:
    """Splits a stream at line feeds only: other line separators of Unicode occur inside words."""
    rest, first = b"", True
    while chunk := stream.read(BLOCK_BYTES):
        if first and chunk.startswith(BOM):
            chunk = chunk[len(BOM) :]
        first = False
        if b"\0" in chunk:
            raise VectorsError(f"{source}: expected text, found binary data; is this a GloVe or word2vec file?")
        head, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield _split(head)
        elif len(rest) > LONGEST_LINE:
            raise VectorsError(f"{source}: a line of over {LONGEST_LINE >> 20} MiB; is this a text file?")
    ends.whole = not rest
    if rest:
        yield _split(rest)


def _split(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return [line.removesuffix(b"\r") for line in lines] if b"\r" in text else lines


def _nonblank(blocks: Iterator[list[bytes]], source: str) -> Iterator[list[bytes]]:
    """Drops blank lines at the end of the file; anywhere else they are broken lines."""
    seen, blank = 0, 0
    for lines in blocks:
        total = len(lines)
        while lines and not lines[-1].strip():
            lines.pop()
        if lines and blank:
            raise VectorsError(f"{source}, line {seen - blank + 1}: {_EXPECTED}, found a blank line; {_REMEDY}")
        blank = blank + total if not lines else total - len(lines)
        seen += total
        if lines:
            yield lines


_EXPECTED = "expected a word and its numbers"
_REMEDY = "mend or delete the line, or get the file again"


def _parse(lines: list[bytes], dimensions: int, source: str, first_line: int) -> Iterator[Block]:
    """The words of some lines, a block for each run of lines that have one."""
    start = 0
    for stop in [*(index for index, line in enumerate(lines) if _lacks_word(line, dimensions)), len(lines)]:
        some, first = lines[start:stop], first_line + start
        if some:
            words, rows = _parse_fast(some, dimensions) or _parse_slow(some, dimensions, source, first)
            _check_words(words, source, first)
            _check_finite(rows, source, first)
            yield Block(words, rows, first)
        start = stop + 1


def _lacks_word(line: bytes, dimensions: int) -> bool:
    """Whether a line has its numbers, but a blank or nothing for a word, as gensim and others write such words."""
    if not line.startswith(b" "):
        return False
    fields = [field for field in line.split(b" ") if field]
    return len(fields) == dimensions and all(map(PLAIN_NUMBER.match, fields))


def _parse_fast(lines: list[bytes], dimensions: int) -> tuple[list[bytes], np.ndarray] | None:
    """Parses well-formed lines in C; None if any line needs a closer look."""
    if lines[0].endswith(b" "):  # fastText ends every line so
        lines = [line.rstrip(b" ") for line in lines]
    parts = [line.partition(b" ") for line in lines]
    words = [word for word, _, _ in parts]
    if not parts[0][2] or b"" in words:
        return None
    try:
        rows = np.loadtxt([rest for _, _, rest in parts], dtype=np.float32, comments=None, delimiter=" ", ndmin=2)
    except ValueError:
        return None
    return (words, rows) if rows.shape == (len(lines), dimensions) else None


def _parse_slow(lines: list[bytes], dimensions: int, source: str, first_line: int) -> tuple[list[bytes], np.ndarray]:
    """Parses line by line; reports the first broken one."""
    words = []
    rows = np.empty((len(lines), dimensions), dtype=np.float32)
    for index, line in enumerate(lines):
        fields = [field for field in line.split(b" ") if field]
        problem = _problem(fields, dimensions)
        if problem:
            raise VectorsError(
                f"{source}, line {first_line + index}: expected a word and {dimensions} numbers, "
                f"found {problem}: {_shown(line)}; {_REMEDY}"
            )
        words.append(b" ".join(fields[:-dimensions]))
        # Through Python's float, which rounds as the C reader does: once to double, once to single.
        rows[index] = [math.inf if abs(x) > 3.5e38 else x for x in map(float, fields[-dimensions:])]
    return words, rows


def _problem(fields: list[bytes], dimensions: int) -> str | None:
    """What is wrong with a line of these fields, or None."""
    if not fields:
        return "a blank line"
    if len(fields) <= dimensions:
        return f"{len(fields)} fields in all"
    for field in fields[-dimensions:]:
        if not PLAIN_NUMBER.match(field) and field.lower().lstrip(b"+-") not in (b"nan", b"inf", b"infinity"):
            return f"{_shown(field)} among the numbers"
    if len(fields) > dimensions + 1 and NUMBER_WITH_POINT.match(fields[-dimensions - 1]):
        return f"at least {dimensions + 1} numbers"
    return None


def _check_words(words: list[bytes], source: str, first_line: int) -> None:
    try:
        b"\n".join(words).decode("utf-8")
    except UnicodeDecodeError as error:
        index = error.object[: error.start].count(b"\n")
        raise VectorsError(
            f"{source}, line {first_line + index}: the word {_shown(words[index])} is not UTF-8; "
            "save the file as UTF-8, or get it again"
        ) from error


def _check_finite(rows: np.ndarray, source: str, first_line: int) -> None:
    good = np.isfinite(rows).all(axis=1)
    if not good.all():
        line = first_line + int(np.argmin(good))
        raise VectorsError(
            f"{source}, line {line}: expected finite numbers, found NaN, infinity or one too large for "
            f"single precision; {_REMEDY}"
        )


def _shown(text: bytes) -> str:
    cut = text[:60].decode("utf-8", errors="backslashreplace")
    return repr(cut + ("…" if len(text) > 60 else ""))
