"""A text corpus of any size as a stream of sentences: text, JSON lines or Parquet, one file after another.

A line is a sentence; a blank line ends a document, as do the end of a file and of a row, unless rows are sentences.
Nothing but a line, or a piece of a long one, is held in memory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pipelines.corpus.folder import first_names, list_folder
from pipelines.corpus.lines import LineFile, row_pieces, without_marks
from pipelines.errors import UserError
from pipelines.general.request import TEXT_COLUMN
from pipelines.tasks.readers.columnar import decoded_array, is_text, plain_type
from pipelines.tasks.readers.lines import PACKED, split_name
from pipelines.tasks.readers.parquet_reader import open_parquet
from pipelines.tasks.readers.source import BATCH_BYTES, file_digest
from pipelines.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSON_SUFFIXES, PARQUET_SUFFIX = (".jsonl", ".ndjson", ".json"), ".parquet"
TEXT_SUFFIXES = (".txt", ".text")
KNOWN_SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, PARQUET_SUFFIX)
SAID_SUFFIXES = f"{', '.join(KNOWN_SUFFIXES)} (text also in {', '.join(PACKED)})"
JSON_NAMES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
MOST_JSON = 64 << 20  # bytes of a JSON line


@dataclass(frozen=True)
class Piece:
    """A sentence, or the end of a document.

    Args:
        text: the sentence; None ends a document.
        done: share of the corpus that was read, from 0 to 1; None where its size is not known.
    """

    text: str | None
    done: float | None


@dataclass(frozen=True)
class FileCorpus:
    """Files, in the order of their names.

    Args:
        files: their paths.
        column: text column of JSON lines and Parquet.
        sentences: their rows are sentences, blank ones the ends of documents; else each row is a document.
        left_out: what to say of the rest of their folder, which is not read; empty where there is none.
        folder: that they lie in, at whatever depth; None for a single file.
    """

    files: tuple[Path, ...]
    column: str
    sentences: bool = False
    left_out: str = ""
    folder: Path | None = None

    @property
    def ends_by_row(self) -> bool:
        """Whether rows end documents."""
        return not self.sentences and any(has_rows(path) for path in self.files)

    def inputs(self) -> list[dict[str, Any]]:
        """Name, bytes and sha256 of each file."""
        found = []
        for path in self.files:
            size, digest = file_digest(path)
            name = path.name if self.folder is None else path.relative_to(self.folder).as_posix()
            found.append({"name": name, "bytes": size, "sha256": digest})
        return found

    def pieces(self) -> Iterator[Piece]:
        """Sentences and ends of documents.

        Raises:
            UserError: text that cannot be read; the message names file and line.
        """
        sizes = [path.stat().st_size for path in self.files]
        total, before = max(1, sum(sizes)), 0
        for path, size in zip(self.files, sizes, strict=True):
            for text, done in _file_pieces(path, self):
                yield Piece(text, (before + min(done, size)) / total)
            before += size
            yield Piece(None, before / total)


def open_files(place: Path, column: str, sentences: bool = False) -> FileCorpus:
    """A file, or the files of a folder and of those in it, linked ones too, in the order of their paths.

    Of a folder the files are read whose suffix is known; where there are none, those without a suffix that are text.
    Names with a leading dot or underscore are passed over.

    Args:
        place: the file or the folder.
        column: text column of JSON lines and Parquet.
        sentences: their rows are sentences.

    Raises:
        UserError: nothing there, nothing in it, a column that is missing, text alone where rows or their column are
            spoken of.
    """
    found, left_out = [place], ""
    if place.is_dir():
        listing = list_folder(place)
        every = listing.files
        found = [path for path in every if split_name(path)[1] in KNOWN_SUFFIXES]
        found = found or [path for path in every if not split_name(path)[1] and _begins_as_text(path)]
        if not found:
            there = first_names(place, every + listing.unread) or "none"
            raise UserError(
                f"--corpus {place}: expected files that end in {SAID_SUFFIXES}, or text without a suffix, found "
                f"{there}; name the file itself, or the folder that it lies in"
            )
        left_out = _left_out(place, sorted({*every}.difference(found)), listing.unread)
    empty = sum(path.stat().st_size for path in found) == 0
    if empty:
        raise UserError(f"--corpus {place}: expected text, found an empty file; give one sentence a line")
    for path in found:
        if _kind(path) == PARQUET_SUFFIX:
            _check_column(path, column)
    if not any(map(has_rows, found)):
        expected = f"expected JSON lines, Parquet or a data set on the hub, found text in --corpus {place}"
        if sentences:
            raise UserError(f"--rows sentences: {expected}, whose lines are sentences in any case; leave it out")
        if column != TEXT_COLUMN:
            raise UserError(f"--text {column}: {expected}, which has no columns; leave it out")
    return FileCorpus(tuple(found), column, sentences, left_out, place if place.is_dir() else None)


def has_rows(path: Path) -> bool:
    """Whether a file has rows: it is no plain text."""
    return _kind(path) in (*JSON_SUFFIXES, PARQUET_SUFFIX)


def _left_out(place: Path, others: list[Path], unread: list[Path]) -> str:
    """What to say of what is not read in a folder: files of other kinds, and what cannot be read."""
    said = []
    if others:
        said.append(
            f"left out {counted(len(others), 'file')} ({first_names(place, others)}): only files that end in "
            f"{SAID_SUFFIXES} are read or, if there are none, text without a suffix"
        )
    if unread:
        said.append(f"cannot read {first_names(place, unread)}: a broken link, no file, or no permission")
    return f"--corpus {place}: {'; '.join(said)}" if said else ""


def _begins_as_text(path: Path) -> bool:
    try:
        with LineFile(path) as lines:
            next(lines.pieces(), None)
    except UserError:
        return False
    return True


@lru_cache(maxsize=1 << 16)
def _kind(path: Path) -> str:
    """The suffix that tells the format; of a file without one, that of JSON lines where it begins with an object."""
    suffix = split_name(path)[1]
    if suffix:
        return suffix
    with LineFile(path) as lines:
        first = next((text for text, _ in lines.pieces() if text is not None), "")
    return JSON_SUFFIXES[0] if first.startswith('{"') else ""


def _file_pieces(path: Path, corpus: FileCorpus) -> Iterator[tuple[str | None, int]]:
    """Sentences with the bytes of the file that were read for them; None ends a document."""
    kind = _kind(path)
    if kind == PARQUET_SUFFIX:
        yield from _parquet_pieces(path, corpus)
    elif kind in JSON_SUFFIXES:
        yield from _json_pieces(path, corpus)
    else:
        with LineFile(path) as lines:
            yield from without_marks(lines.pieces())


def _json_pieces(path: Path, corpus: FileCorpus) -> Iterator[tuple[str | None, int]]:
    with LineFile(path) as lines:
        for number, line, done in lines.whole(MOST_JSON):
            if not line.strip():
                continue
            text = _json_text(path, number, line, corpus.column)
            yield from ((piece, done) for piece in row_pieces(text, corpus.sentences))


def _json_text(path: Path, number: int, line: str, column: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}, line {number}: expected a JSON object, found broken JSON ({error}); give one object a line, or "
            "name plain text .txt"
        ) from error
    if not isinstance(row, dict) or not isinstance(row.get(column), str):
        if isinstance(row, dict) and column in row:
            found, remedy = JSON_NAMES.get(type(row[column]), "something else"), "leave such lines out"
        else:
            found = f"the fields {', '.join(row)}"[:200] if isinstance(row, dict) and row else "no field"
            remedy = "name the text's field with --text"
        raise UserError(f"{path}, line {number}: expected an object with text in {column!r}, found {found}; {remedy}")
    # Half a surrogate pair is valid JSON but no text.
    return str(row[column]).encode("utf-8", "replace").decode("utf-8")


def _check_column(path: Path, column: str) -> None:
    with open_parquet(path) as file:
        schema = file.schema_arrow
        if column not in schema.names:
            found = f"the columns {', '.join(schema.names)}"
        elif not is_text(plain_type(schema.field(column).type)):
            found = str(schema.field(column).type)
        else:
            return
        raise UserError(f"{path}: expected text in column {column!r}, found {found}; name the text column with --text")


def _parquet_pieces(path: Path, corpus: FileCorpus) -> Iterator[tuple[str | None, int]]:
    import pyarrow as pa

    size = path.stat().st_size
    with open_parquet(path) as file:
        footer = file.metadata
        rows = max(1, footer.num_rows)
        stored = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
        most = max(1, min(65_536, BATCH_BYTES * rows // max(1, stored)))
        done = 0
        try:
            for batch in file.iter_batches(most, columns=[corpus.column]):
                for data in decoded_array(batch.column(0)).cast(pa.large_binary()).to_pylist():
                    done += 1
                    text = _text(path, done, data)
                    yield from ((piece, size * done // rows) for piece in row_pieces(text, corpus.sentences))
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path}: expected a whole Parquet file, found damage: {error}; copy it again") from error


def _text(path: Path, row: int, data: bytes | None) -> str:
    if data is None:
        raise UserError(f"{path}, row {row}: expected text, found null; leave such rows out")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, row {row}: expected UTF-8, found byte 0x{data[error.start]:02x}; write the file again as UTF-8"
        ) from error
