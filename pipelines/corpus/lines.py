"""The lines of plain text as sentences, in bounded memory; what is no UTF-8 text is named by its line."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.readers.lines import UNREADABLE, Lines, unpacked
from pipelines.tasks.task import CONVERT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_PIECE = 1 << 16  # bytes read at a time; a longer line comes in pieces, cut between words
PIECE_CHARACTERS = LONGEST_PIECE
DOC = re.compile(r"""<doc (?:[^>]* )?id=.*?(?:title="(?P<title>.*)")?\s*>|</doc>""")
BLOCK = 1 << 13  # bytes looked at
REMEDY = "give plain text, JSON lines (.jsonl) or Parquet (.parquet), in UTF-8"
SIGNATURES = {
    b"\x89PNG": ("a PNG picture", REMEDY),
    b"\xff\xd8\xff": ("a JPEG picture", REMEDY),
    b"%PDF-": ("a PDF document", f"{REMEDY}, such as `pdftotext` makes"),
    b"\x1f\x8b": ("a gzip archive", "let its name end in .gz"),
    b"BZh91AY&SY": ("a bzip2 archive", "let its name end in .bz2"),
    b"\xfd7zXZ": ("an xz archive", "let its name end in .xz"),
    b"\x28\xb5\x2f\xfd": ("a zstd archive", "let its name end in .zst"),
    b"<mediawiki": ("a dump of a wiki", "extract its text, such as with WikiExtractor"),
    b"<?xml": ("an XML document", "extract its text"),
    b"PK\x03\x04": ("a zip archive (office documents are some)", f"unpack it, and {REMEDY}"),
    b"PAR1": ("a Parquet file", "let its name end in .parquet"),
    b"\x7fELF": ("a program", REMEDY),
}


def text_pieces(path: Path) -> Iterator[tuple[str | None, float]]:
    """Lines with text, without their ends; None for blank ones; each with the share of the file that was read so far.

    Args:
        path: of the file; `.gz`, `.bz2`, `.xz` and `.zst` are unpacked.

    Raises:
        UserError: no UTF-8, binary content, a damaged archive.
    """
    refuse_binary(path)
    lines, size = Lines(path), max(1, path.stat().st_size)
    rest, number = b"", 1
    for piece in lines.pieces(LONGEST_PIECE):
        number = piece.line
        data, rest = (rest + piece.data, b"") if piece.ends else _cut(rest + piece.data)
        text = _decoded(path, number, data).strip()
        if text or (piece.begins and piece.ends):
            yield text or None, lines.done / size
    if text := _decoded(path, number, rest).strip():
        yield text, 1.0


def _decoded(path: Path, number: int, data: bytes) -> str:
    if b"\0" in data:
        raise UserError(f"{path}, line {number}: expected text, found a binary file (it has zero bytes); {REMEDY}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        around = repr(data[max(0, error.start - 20) : error.start + 10].decode("utf-8", "replace"))  # to search for
        raise UserError(
            f"{path}, line {number}: expected UTF-8, found byte 0x{data[error.start]:02x} ({around}); {CONVERT}, "
            f"and files of several encodings before they are joined; where it is no text at all, {REMEDY}"
        ) from error


def without_marks(pieces: Iterator[tuple[str | None, float]]) -> Iterator[tuple[str | None, float]]:
    """The sentences of what WikiExtractor writes; all other lines are passed on.

    `<doc …>` and `</doc>` end documents, blank lines between the two do not, and a title after its mark is no sentence.

    Args:
        pieces: of a text file; see `text_pieces`.
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


def refuse_binary(path: Path) -> None:
    """Refuses what opens with a known signature.

    Args:
        path: of the file; it is unpacked where its name says how.

    Raises:
        UserError: it is no text.
    """
    try:
        with path.open("rb") as raw, unpacked(raw, path) as file:
            block = file.read(BLOCK)
    except UNREADABLE:
        return  # whoever reads its lines says where the damage is
    for signature, (kind, remedy) in SIGNATURES.items():
        if block.startswith(signature):
            raise UserError(f"{path}: expected text, found {kind} by its first bytes; {remedy}")
