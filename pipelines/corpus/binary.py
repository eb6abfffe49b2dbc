"""Whether a file that is read as text begins like text: pictures and archives have lines without a zero byte, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.readers.lines import UNREADABLE, unpacked

if TYPE_CHECKING:
    from pathlib import Path

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
