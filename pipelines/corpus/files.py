"""A text corpus of any size as a stream of sentences: text, JSON lines, Parquet or CSV, one file after another.

A line is a sentence; a blank line ends a document, as do the end of a file and of a row, unless rows are sentences.
Nothing but a line, or a piece of a long one, is held in memory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.corpus.lines import refuse_binary, row_pieces, text_pieces, without_marks
from pipelines.errors import UserError
from pipelines.options.data import TEXT_COLUMN
from pipelines.run_folder.run_file import InputDigest
from pipelines.tasks.readers.columnar import is_text, read
from pipelines.tasks.readers.delimited import delimited_source
from pipelines.tasks.readers.jsonl import text_source
from pipelines.tasks.readers.lines import PACKED, split_name
from pipelines.tasks.readers.parquet_reader import parquet_source
from pipelines.tasks.readers.source import Column, Plan, Role, file_digest
from pipelines.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.tasks.readers.source import Source
    from pipelines.tasks.task import BadRow

JSON_SUFFIXES, PARQUET_SUFFIX = (".jsonl", ".ndjson", ".json"), ".parquet"
DELIMITERS = {".csv": ",", ".tsv": "\t"}  # of files that are named: of a folder they are left out
TEXT_SUFFIXES = (".txt", ".text")
KNOWN_SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, PARQUET_SUFFIX)
ROWS_AT_ONCE = 1024  # whole documents, perhaps
SAID_SUFFIXES = f"{', '.join(KNOWN_SUFFIXES)} (text also in {', '.join(PACKED)})"
NAMED = 3  # of a folder's entries that are spoken of


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

    def inputs(self) -> list[InputDigest]:
        """Name, bytes and sha256 of each file."""
        above = self.files[0].parent if self.folder is None else self.folder
        return [InputDigest(path.relative_to(above).as_posix(), *file_digest(path)) for path in self.files]

    def pieces(self) -> Iterator[Piece]:
        """Sentences and ends of documents.

        Raises:
            UserError: text that cannot be read; the message names file and line.
        """
        sizes = [path.stat().st_size for path in self.files]
        total, before = max(1, sum(sizes)), 0
        for path, size in zip(self.files, sizes, strict=True):
            for text, done in _file_pieces(path, self):
                yield Piece(text, (before + done * size) / total)
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
        every, unread = _listed(place)
        found = [path for path in every if split_name(path)[1] in KNOWN_SUFFIXES]
        found = found or [path for path in every if not split_name(path)[1] and _begins_as_text(path)]
        if not found:
            there = _first(place, every + unread) or "none"
            raise UserError(
                f"--corpus {place}: expected files that end in {SAID_SUFFIXES}, or text without a suffix, found "
                f"{there}; name the file itself, or the folder that it lies in"
            )
        left_out = _left_out(place, sorted({*every}.difference(found)), unread)
    empty = sum(path.stat().st_size for path in found) == 0
    if empty:
        raise UserError(f"--corpus {place}: expected text, found an empty file; give one sentence a line")
    for path in found:
        if _kind(path) == PARQUET_SUFFIX or _kind(path) in DELIMITERS:
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
    return _kind(path) in (*JSON_SUFFIXES, PARQUET_SUFFIX, *DELIMITERS)


def _left_out(place: Path, others: list[Path], unread: list[Path]) -> str:
    """What to say of what is not read in a folder: files of other kinds, and what cannot be read."""
    said = []
    if others:
        said.append(
            f"left out {counted(len(others), 'file')} ({_first(place, others)}): only files that end in "
            f"{SAID_SUFFIXES} are read or, if there are none, text without a suffix"
        )
    if unread:
        said.append(f"cannot read {_first(place, unread)}: a broken link, no file, or no permission")
    return f"--corpus {place}: {'; '.join(said)}" if said else ""


def _begins_as_text(path: Path) -> bool:
    try:
        next(text_pieces(path), None)
    except UserError:
        return False
    return True


@lru_cache(maxsize=1 << 16)
def _kind(path: Path) -> str:
    """The suffix that tells the format; of a file without one, that of JSON lines where it begins with an object."""
    suffix = split_name(path)[1]
    if suffix:
        return suffix
    first = next((text for text, _ in text_pieces(path) if text is not None), "")
    return JSON_SUFFIXES[0] if first.startswith('{"') else ""


def _file_pieces(path: Path, corpus: FileCorpus) -> Iterator[tuple[str | None, float]]:
    """Sentences with the share of the file that was read for them; None ends a document."""
    if not has_rows(path):
        yield from without_marks(text_pieces(path))
        return
    for text, done in _row_texts(path, corpus.column):
        yield from ((piece, done) for piece in row_pieces(text, corpus.sentences))


def _row_texts(path: Path, column: str) -> Iterator[tuple[str, float]]:
    """The text of each row with the share of the file that was read for it."""
    if _kind(path) in JSON_SUFFIXES:
        refuse_binary(path)
        source = text_source(path, path.name, column)
    else:
        source = _columns_of(path)
    plan, before = Plan((Column(column, pa.string(), Role.TEXT),), None), 0.0
    for chunk, batch in read(source, plan, _refuse_row, rows=ROWS_AT_ONCE):
        step = (chunk.done - before) / max(1, batch.num_rows)
        for row, text in enumerate(batch.column(column).to_pylist(), 1):
            yield text, before + row * step
        before = chunk.done


def _refuse_row(bad: BadRow) -> None:
    raise UserError(f"{bad.place}: {bad.error}; leave such rows out, or name the column of the text with --text")


def _columns_of(path: Path) -> Source:
    """A file that says which columns it has; tabs set fields apart as in GLUE, without quoting."""
    delimiter = DELIMITERS.get(_kind(path))
    if delimiter is None:
        return parquet_source(path, path.name)
    return delimited_source(path, path.name, delimiter, quoted=delimiter == ",")


def _check_column(path: Path, column: str) -> None:
    schema = _columns_of(path).schema
    if column in schema.names and is_text(schema.field(column).type):
        return
    found = str(schema.field(column).type) if column in schema.names else f"the columns {', '.join(schema.names)}"
    raise UserError(f"{path}: expected text in column {column!r}, found {found}; name the text column with --text")


def _listed(place: Path) -> tuple[list[Path], list[Path]]:
    """Files of a folder and of those in it, linked ones too; names with a leading dot or underscore are passed over.

    A linked folder that is met twice, or that contains itself, is read once: where it really lies, if that is inside.

    Returns:
        The files in the order of their paths, and what cannot be read: links to nothing, folders that may not be
        listed, what is no file.
    """
    files: list[Path] = []
    unread: list[Path] = []
    seen: set[str] = set()
    starts = [place]  # then the linked folders, as they are met
    for start in starts:
        for name, folders, names in os.walk(start, onerror=lambda error: unread.append(Path(error.filename))):
            real = os.path.realpath(name)
            folders[:] = [] if real in seen else sorted(one for one in folders if not _is_hidden(one))
            if real in seen:
                continue
            seen.add(real)
            folder = Path(name)
            starts += [folder / one for one in folders if (folder / one).is_symlink()]
            for path in (folder / one for one in names if not _is_hidden(one)):
                (files if path.is_file() else unread).append(path)
    return sorted(files), sorted(unread)


def _first(place: Path, paths: list[Path]) -> str:
    """The first of some paths in a folder; nothing where there are none."""
    return ", ".join([path.relative_to(place).as_posix() for path in paths[:NAMED]] + ["…"] * (len(paths) > NAMED))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))
