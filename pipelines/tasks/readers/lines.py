"""The one reader of text: lines of a file in bounded memory, and what a format makes of them: records and faults."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from pipelines.errors import UserError
from pipelines.tasks.readers.block import Block
from pipelines.tasks.task import NO_UTF8, TEXT_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

MAX_LINE = 64 * 1024 * 1024
"""Bytes of the longest line that is read whole: a file without line ends must not fill the memory."""

READ_BYTES = 256 * 1024

PACKED = (".gz", ".bz2", ".xz", ".zst")
"""Suffixes of text files that are read unpacked."""

UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What a damaged file raises, packed or not."""


class Record(NamedTuple):
    """A row as it was read.

    Attributes:
        line: Its first physical line (1-based).
        size: Its size in bytes.
        values: Its values in header order; none for a blank line.
        head: Its beginning as it is written.
    """

    line: int
    size: int
    values: Sequence[object]
    head: str


@dataclass(frozen=True)
class Fault:
    """A row, or a value of it, that could not be read.

    Attributes:
        line: The row's first physical line (1-based); None where the format has no lines.
        error: What was expected and what was found.
        text: The row's first characters.
        column: The column at fault, if it is known.
    """

    line: int | None
    error: str
    text: str
    column: str | None = None


class Piece(NamedTuple):
    """A line, or a part of a long one.

    Attributes:
        line: The line's number (1-based).
        data: Its bytes with the line end.
        begins: Whether the line begins with it.
        ends: Whether the line ends with it.
    """

    line: int
    data: bytes
    begins: bool
    ends: bool


class Lines:
    r"""The lines of a file, unpacked where its name says how it is packed; a line ends at "\n" alone.

    A byte-order mark is left out. Iterating gives each line's number (1-based) and bytes; a line of more than MAX_LINE
    bytes comes as its first MAX_LINE + 1.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._raw: IO[bytes] | None = None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return ((piece.line, piece.data) for piece in self.pieces(MAX_LINE + 1) if piece.begins)

    @property
    def done(self) -> int:
        """Bytes of the file, packed as they are, that have been read."""
        if self._raw is None:
            return 0
        return self.path.stat().st_size if self._raw.closed else self._raw.tell()

    def pieces(self, most: int) -> Iterator[Piece]:
        """Lines in pieces of at most `most` bytes.

        Raises:
            UserError: If the file cannot be read, or starts with the byte-order mark of UTF-16.
        """
        line, begins = 1, True
        try:
            with self.path.open("rb") as self._raw, unpacked(self._raw, self.path) as file:
                while data := file.readline(most):
                    ends = data.endswith(b"\n") or len(data) < most
                    yield Piece(line, self._without_mark(data) if line == 1 and begins else data, begins, ends)
                    line, begins = line + ends, ends
        except UNREADABLE as error:
            raise self._unreadable(line, error) from error

    def blocks(self) -> Iterator[Block]:
        """The same lines, without their numbers, as many in one as a read of the file brings.

        Raises:
            UserError: As `pieces` does.
        """
        line, held = 1, bytearray()  # the beginning of a line that goes on
        try:
            with self.path.open("rb", READ_BYTES) as self._raw, unpacked(self._raw, self.path) as file:
                while data := file.read1(-1):  # the reads of readline: a damaged file ends at the same line
                    if end := data.rfind(b"\n") + 1:
                        block = self._begun(bytes(held + data[:end]) if held else data[:end], line)
                        line, held = line + len(block), bytearray(data[end:])
                        yield block
                    elif len(held) <= MAX_LINE:
                        held += data
                if held:
                    yield self._begun(bytes(held), line)
        except UNREADABLE as error:
            raise self._unreadable(line, error) from error

    def _begun(self, block: bytes, line: int) -> Block:
        """The lines of a block of which the first line, of that number, may be too long or have a byte-order mark."""
        if len(block) > MAX_LINE + 1 and (end := block.find(b"\n") + 1 or len(block)) > MAX_LINE + 1:
            block = block[: MAX_LINE + 1] + b"\n" + block[end:]
        return Block.of(self._without_mark(block) if line == 1 else block)

    def _unreadable(self, line: int, error: Exception) -> UserError:
        found = getattr(error, "strerror", None) or f"damage ({error}); copy it again"
        return UserError(f"{self.path}, line {line}: expected a readable file, found {found}.")

    def _without_mark(self, data: bytes) -> bytes:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UserError(
                f"{self.path}: expected UTF-8, found UTF-16 (by its byte-order mark); convert it with `iconv -f utf-16 "
                "-t utf-8`."
            )
        return data.removeprefix(codecs.BOM_UTF8)


def unpacked(raw: IO[bytes], path: Path) -> Any:
    """A buffered stream of what a file holds, unpacked where its name ends in one of PACKED.

    Args:
        raw: The opened file; it stays open when the stream is closed.
        path: Its name, which says how it is packed.
    """
    packing = path.suffix.lower()
    if packing == ".gz":
        return gzip.GzipFile(fileobj=raw, mode="rb")
    if packing == ".bz2":
        return bz2.BZ2File(raw)
    if packing == ".xz":
        return lzma.LZMAFile(raw)
    if packing == ".zst":
        import pyarrow as pa  # Python has no reader of its own before 3.14

        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"))
    return raw


def split_name(path: Path) -> tuple[str, str]:
    """A file's name without its suffix, and the suffix in lower case; one that only says how it is packed is left out.

    `train.CSV.gz` is `train` and `.csv`.
    """
    name = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return name.stem, name.suffix.lower()


def text_rows(lines: Iterable[tuple[int, bytes]]) -> Iterator[Record | Fault]:
    """Each line as a record of one value, its text without the line end."""
    for number, data in lines:
        text = decoded(number, data)
        yield text if isinstance(text, Fault) else Record(number, len(data), (text,) if text else (), text[:TEXT_SHOWN])


def without_blank_end(rows: Iterator[Record | Fault]) -> Iterator[Record | Fault]:
    """The rows without blank lines at the end of the file; other blank lines have one empty value."""
    blank = None
    for row in rows:
        if isinstance(row, Record) and not row.values:
            blank = blank or row.line
            continue
        if blank and row.line:
            yield from (Record(line, 1, ("",), "") for line in range(blank, row.line))
            blank = None
        yield row


def decoded(number: int, data: bytes) -> str | Fault:
    r"""The text of a line without its line end ("\n" or "\r\n"), or the fault of one that has none."""
    if len(data) > MAX_LINE:
        return _fault(number, data, f"expected a line of at most {MAX_LINE:,} bytes, found a longer one")
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        found = f"found byte 0x{data[error.start]:02x} at byte {error.start + 1} of the line"
        return _fault(number, data, f"{NO_UTF8}, {found}")


def _fault(number: int, data: bytes, error: str) -> Fault:
    text = data[: 4 * TEXT_SHOWN].decode("utf-8", "replace")
    return Fault(number, error, text.rstrip("\r\n")[:TEXT_SHOWN])
