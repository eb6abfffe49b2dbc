"""Lines of a text file, plain or packed, in bounded memory; what is no UTF-8 text is named by its line."""

from __future__ import annotations

import codecs
import html
import re
from typing import IO, TYPE_CHECKING, Any

from pipelines.corpus.binary import BLOCK, REMEDY, refuse_binary
from pipelines.errors import UserError
from pipelines.tasks.readers.lines import UNREADABLE, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

LONGEST_PIECE = 1 << 16  # bytes read at a time; a longer line comes in pieces, cut between words
PIECE_CHARACTERS = LONGEST_PIECE
DOC = re.compile(r"""<doc (?:[^>]* )?id=.*?(?:title="(?P<title>.*)")?\s*>|</doc>""")
MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class LineFile:
    """A text file, read from its beginning.

    Args:
        path: of the file; `.gz`, `.bz2`, `.xz` and `.zst` are unpacked.

    Raises:
        UserError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._raw: IO[bytes] = path.open("rb")
        except OSError as error:
            raise UserError(f"{path}: expected a readable file; {error.strerror or error}") from error
        self._file: Any = unpacked(self._raw, path)
        self._looked = False

    def __enter__(self) -> LineFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._raw.close()

    def pieces(self) -> Iterator[tuple[str | None, int]]:
        """Lines with text, without their ends; None for blank ones; each with the bytes of the file read so far.

        Raises:
            UserError: no UTF-8, binary content, a damaged archive.
        """
        number, rest, begun = 1, b"", False
        while data := self._read(number, LONGEST_PIECE):
            ends = data.endswith(b"\n") or len(data) < LONGEST_PIECE
            data, rest = (rest + data, b"") if ends else _cut(rest + data)
            text = self._decoded(number, data).strip()
            if text or (ends and not begun):
                yield text or None, self._raw.tell()
            begun = not ends
            number += ends
        if text := self._decoded(number, rest).strip():
            yield text, self._raw.tell()

    def whole(self, most: int) -> Iterator[tuple[int, str, int]]:
        """Whole lines with their number and the bytes of the file read so far.

        Raises:
            UserError: as `pieces`, and a line of more than `most` bytes.
        """
        number = 1
        while data := self._read(number, most + 1):
            if len(data) > most:
                raise UserError(
                    f"{self.path}, line {number}: expected a line of at most {most:,} bytes, found a longer one; give "
                    "one document a line"
                )
            yield number, self._decoded(number, data), self._raw.tell()
            number += 1

    def _read(self, number: int, most: int) -> bytes:
        try:
            if not self._looked:
                refuse_binary(self.path, self._file.peek(BLOCK)[:BLOCK])
            self._looked = True
            data: bytes = self._file.readline(most)
        except UNREADABLE as error:
            raise UserError(
                f"{self.path}, line {number}: expected a readable file, found damage ({error}); copy it again"
            ) from error
        if number == 1 and data.startswith(MARKS):
            raise UserError(
                f"{self.path}: expected UTF-8, found UTF-16 (by its byte-order mark); convert it with `iconv -f utf-16 "
                "-t utf-8`"
            )
        if b"\0" in data:
            raise UserError(
                f"{self.path}, line {number}: expected text, found a binary file (it has zero bytes); {REMEDY}"
            )
        return data

    def _decoded(self, number: int, data: bytes) -> str:
        try:
            return data.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self.path}, line {number}: expected UTF-8, found byte 0x{data[error.start]:02x} "
                f"({_shown(data, error.start)}); convert the file, such as with `iconv -f latin1 -t utf-8`, or, where "
                "files of several encodings were joined, each of them before joining"
            ) from error


def without_marks(pieces: Iterator[tuple[str | None, int]]) -> Iterator[tuple[str | None, int]]:
    """The sentences of what WikiExtractor writes; all other lines are passed on.

    `<doc …>` and `</doc>` end documents, blank lines between the two do not, and a title after its mark is no sentence.

    Args:
        pieces: of a text file; see `LineFile.pieces`.
    """
    inside, title = False, None
    for text, done in pieces:
        if text is not None and (mark := DOC.fullmatch(text)):
            inside, title = mark[0] != "</doc>", mark["title"]
            yield None, done
        elif title and text in (title, html.unescape(title)):
            title = None
        elif text is not None or not inside:
            title = title if text is None else None
            yield text, done


def pieces_of(text: str) -> Iterator[str | None]:
    """The lines of a row's text, long ones in pieces; None for blank lines."""
    for line in text.split("\n"):
        rest = line.strip()
        if not rest:
            yield None
        while len(rest) > PIECE_CHARACTERS:
            at = rest.rfind(" ", 1, PIECE_CHARACTERS)
            at = PIECE_CHARACTERS if at < 0 else at
            yield rest[:at]
            rest = rest[at:].lstrip()
        if rest:
            yield rest


def row_pieces(text: str, sentence: bool) -> Iterator[str | None]:
    """The sentences of a row, and None where a document ends.

    Args:
        text: of the row.
        sentence: the row is one sentence, and the end of a document where it is blank; else it is a document, its
            lines the sentences.
    """
    if sentence:
        yield from pieces_of(" ".join(text.split("\n")))
        return
    yield from pieces_of(text)
    yield None


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """What can be used of an unfinished line, and the word, or the character, that it was cut in."""
    at = max(data.rfind(b" "), data.rfind(b"\t"))
    if at > 0:
        return data[:at], data[at:]
    at = len(data)
    while at > len(data) - 4 and at > 0 and data[at - 1] & 0xC0 == 0x80:
        at -= 1
    if at and data[at - 1] >= 0xC0:  # the first byte of a character that may go on
        at -= 1
    return (data[:at], data[at:]) if at else (data, b"")


def _shown(data: bytes, at: int) -> str:
    """What stands around a byte, for the user to search for."""
    return repr(data[max(0, at - 20) : at + 10].decode("utf-8", "replace"))
