"""Physical lines of a file in bounded memory, and what a reader makes of them: records and faults."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from pipelines.errors import UserError
from pipelines.tasks.task import TEXT_SHOWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_LINE = 64 * 1024 * 1024
"""Bytes of the longest line that is read: a file without line ends must not fill the memory."""

PACKED = (".gz", ".bz2", ".xz", ".zst")
"""Suffixes of text files that are read unpacked."""

UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""What a damaged file raises, packed or not."""

Record = tuple[int, int, Sequence[object], str]
"""A row as read: its first physical line (1-based), its size in bytes, its values in header order, its beginning as
it is written."""


@dataclass(frozen=True)
class Fault:
    """A row that could not be split into values.

    Attributes:
        line: Its first physical line (1-based).
        error: What was expected and what was found.
        text: Its first characters.
        column: The column at fault, if it is known.
    """

    line: int
    error: str
    text: str
    column: str | None = None


def physical_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    r"""Yields (line number from 1, bytes); a line ends at "\n" alone, which is kept.

    A byte-order mark is left out. A line of more than MAX_LINE bytes comes as its first MAX_LINE + 1.

    Raises:
        UserError: If the file cannot be read, or starts with the byte-order mark of UTF-16.
    """
    try:
        with path.open("rb") as raw, unpacked(raw, path) as file:
            number = 0
            while data := file.readline(MAX_LINE + 1):
                number += 1
                yield number, _without_mark(path, data) if number == 1 else data
                rest = data
                while len(rest) > MAX_LINE and not rest.endswith(b"\n"):
                    rest = file.readline(MAX_LINE + 1)
    except UNREADABLE as error:
        raise UserError(f"{path}: expected a readable file; {getattr(error, 'strerror', None) or error}.") from error


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


def text_lines(path: Path, blank_rows: bool) -> Iterator[tuple[int, int, str | Fault]]:
    """Yields (line number, size in bytes, text without its line end or the fault of the line).

    Args:
        path: The file.
        blank_rows: Whether blank lines at the end are rows; otherwise they are left out.

    Raises:
        UserError: As physical_lines.
    """
    blank_from: int | None = None
    for number, data in physical_lines(path):
        text = decoded(number, data)
        if text == "" and not blank_rows:
            # Held back until a line with content follows: only then is it inside the file.
            blank_from = number if blank_from is None else blank_from
            continue
        if blank_from is not None:
            yield from ((blank, 1, "") for blank in range(blank_from, number))
            blank_from = None
        yield number, len(data), text


def decoded(number: int, data: bytes) -> str | Fault:
    r"""The text of a line without its line end ("\n" or "\r\n"), or the fault of one that has none."""
    if len(data) > MAX_LINE:
        return _fault(number, data, f"expected a line of at most {MAX_LINE:,} bytes, found a longer one")
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        found = f"found byte 0x{data[error.start]:02x} at byte {error.start + 1} of the line"
        return _fault(number, data, f"expected UTF-8, {found}")


def _fault(number: int, data: bytes, error: str) -> Fault:
    text = data[: 4 * TEXT_SHOWN].decode("utf-8", "replace")
    return Fault(number, error, text.rstrip("\r\n")[:TEXT_SHOWN])


def _without_mark(path: Path, data: bytes) -> bytes:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{path}: expected UTF-8, found UTF-16 (by its byte-order mark). Convert it to UTF-8.")
    return data.removeprefix(codecs.BOM_UTF8)
