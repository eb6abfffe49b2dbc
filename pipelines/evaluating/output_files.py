"""Files that are written where the user says: whether that can be done, and writing them whole or not at all."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.run_folder.storage import move_into_place, unwritten

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


def check_place(option: str, path: Path, made: Path | None = None) -> None:
    """Refuses a file whose folder is missing or cannot be written to.

    Args:
        option: that names it.
        path: the file.
        made: a run's folder that will be made, with those above it and its student's; None for none.

    Raises:
        UserError: the folder is not there or may not be written to, or the file's name is a folder's.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise UserError(f"{option} {path}: expected the name of a file, found a folder; add a name")
    if not folder.exists() and made is not None and folder in (made / "student", made, *made.parents):
        return
    if not folder.is_dir():
        raise UserError(
            f"{option} {path}: expected a folder to write it into, found no {folder}; make it, or correct it"
        )
    if not os.access(folder, os.W_OK):
        raise UserError(
            f"{option} {path}: expected a folder that can be written to, {folder} cannot; choose another one"
        )


def write_table(path: Path, table: pa.Table) -> None:
    """Writes a table in the format of its name, one of `TABLES`.

    Raises:
        JobError: it cannot be written.
    """
    sink = io.BytesIO()
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, sink)
    elif path.suffix == ".jsonl":
        for row in table.to_pylist():
            sink.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    else:
        from pyarrow import csv

        csv.write_csv(table, sink, csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ","))
    write_whole(path, sink.getvalue())


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name and renames it.

    Raises:
        JobError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        move_into_place(temporary, path)
    except OSError as error:
        raise unwritten(str(path), error) from error
