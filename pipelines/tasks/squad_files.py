"""SQuAD's files: the official JSON, or the hub's columns as Parquet, Arrow or JSON lines; every row is checked."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.custom_files import ARROW, custom_files
from pipelines.tasks.readers.columnar import python_values
from pipelines.tasks.readers.jsonl import jsonl_source
from pipelines.tasks.readers.lines import Fault
from pipelines.tasks.readers.parquet_reader import arrow_source, parquet_source
from pipelines.tasks.readers.source import Chunk, Column, Plan, Role, Source
from pipelines.tasks.readers.squad_json import squad_json_source
from pipelines.tasks.split import OpenTask, Split
from pipelines.tasks.squad import ANSWERS, CONTEXT, ID, QUESTION, TITLE, Unchecked, may_lack_answers
from pipelines.tasks.task import RowError, listed, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipelines.tasks.task import BadRow, Task

_WORD = re.compile(r"\w")
_OFFICIAL = {"train": "train", "dev": "validation"}
_COLUMNS = (ID, CONTEXT, QUESTION, ANSWERS)


def open_squad(task: Task, data: Path | None, on_bad: Callable[[BadRow], None]) -> OpenTask:
    """The parts of SQuAD: a file, which is the train part, or a folder with train and dev.

    Raises:
        UserError: If there are none.
    """
    if data is None:
        raise UserError(
            f"--task {task.name}: expected --data with the official JSON (train-v2.0.json, dev-v2.0.json) or the hub's "
            "columns as Parquet or JSON lines, found none. Download them, and name the folder."
        )
    files = _files(data)
    parts = {part: partial(_open_part, task, part, paths, data, on_bad) for part, paths in files.items()}
    return OpenTask(task, parts, {"train": "train-*.json", "validation": "dev-*.json"}.get, str(data))  # type: ignore[arg-type]


def _files(data: Path) -> dict[str, tuple[Path, ...]]:
    """The files of each part: official ones by the beginning of their names, others as those of custom tasks."""
    if data.is_dir() and (found := sorted(data.glob("*.json"))):
        parts: dict[str, tuple[Path, ...]] = {}
        for path in found:
            part = _OFFICIAL.get(re.split(r"[^a-z]", path.name.lower())[0])
            if part is not None and part in parts:
                raise UserError(
                    f"{data}: expected one file of the {part} part, found {parts[part][0].name} and {path.name}. Keep "
                    "one of them."
                )
            parts |= {part: (path,)} if part else {}
        if parts:
            return parts
    return custom_files(data)


def _open_part(task: Task, part: str, paths: tuple[Path, ...], data: Path, on_bad: Callable[[BadRow], None]) -> Split:
    sources = tuple(_checked(_source(path, data), task) for path in paths)
    titled = all(TITLE in source.schema.names for source in sources)
    names = (ID, *([TITLE] if titled else []))
    columns = [Column(name, pa.string(), Role.KEPT) for name in names]
    columns += [Column(name, pa.string(), Role.TEXT) for name in task.text_columns]
    columns.append(Column(ANSWERS, task.label.type, Role.KEPT))
    return Split(part, task, sources, Plan(tuple(columns), None), on_bad)


def _source(path: Path, data: Path) -> Source:
    """A file in any of its forms.

    Raises:
        UserError: If it cannot be read or lacks a column.
    """
    name = path.name if path == data else path.relative_to(data).as_posix()
    if path.suffix == ".json":
        return squad_json_source(path, name)
    if path.suffix == ".parquet":
        source = parquet_source(path, name)
    elif path.suffix in ARROW:
        source = arrow_source(path, name)
    elif path.name.endswith((".csv", ".tsv")):
        raise UserError(f"{path}: expected JSON, JSON lines, Parquet or Arrow, for answers are nested. Convert it.")
    else:
        source = jsonl_source(path, name, (CONTEXT, QUESTION))
    if lacking := [column for column in _COLUMNS if column not in source.schema.names]:
        raise UserError(
            f"{path}: expected the columns {listed(_COLUMNS)}, found {listed(source.schema.names)}, without "
            f"{listed(lacking)}. Name them as the hub's squad does."
        )
    return source


def _checked(source: Source, task: Task) -> Source:
    """The same file, whose rows with wrong answers, questions or contexts are bad ones."""

    def chunks(rows: int, columns: list[str] | None, every: int = 1) -> Iterator[Chunk]:
        seen: set[str] = set()
        wanted = None if columns is None else list(dict.fromkeys((*_COLUMNS, *columns)))
        for chunk in source.chunks(rows, wanted, every=every):
            yield _without_faulty(chunk, wanted or source.schema.names, may_lack_answers(task), seen)

    return replace(source, chunks=chunks)


def _without_faulty(chunk: Chunk, columns: list[str], may_lack: bool, seen: set[str]) -> Chunk:
    found = {name: _python(chunk.values(name)) for name in columns}
    faults, kept = dict(chunk.faults), []
    for row, position in enumerate(chunk.good):
        try:
            _check(Unchecked(*(found[name][row] for name in _COLUMNS)), may_lack, seen)
            kept.append(row)
        except RowError as error:
            line, head = chunk.begin(row, CONTEXT)
            faults[position] = Fault(line, str(error), head, error.column)
    good = [chunk.good[row] for row in kept]
    return Chunk(
        chunk.size, chunk.done, good, faults, lambda name: [found[name][row] for row in kept],
        lambda row, text: chunk.begin(kept[row], text), stands_for=chunk.stands_for,
    )  # fmt: skip


def _python(values: Any) -> list[Any]:
    return values if isinstance(values, list) else python_values(values)


def _check(row: Unchecked, may_lack: bool, seen: set[str]) -> None:
    """Checks what a question says of itself.

    Raises:
        RowError: naming its id, what was expected and what was found.
    """
    name = row.id
    if not isinstance(name, str) or not name:
        raise RowError(ID, f"expected the id of a question, found {shown(name)}")
    who = f"question {name}: "
    if name in seen:
        raise RowError(ID, f"{who}expected an id of its own, found that of an earlier question")
    seen.add(name)
    for column, text in ((QUESTION, row.question), (CONTEXT, row.context)):
        if not isinstance(text, str):
            raise RowError(column, f"{who}expected text, found {'null' if text is None else shown(text)}")
        if not _WORD.search(text):
            raise RowError(column, f"{who}expected words, found {shown(text)}")
    answers = row.answers
    texts, starts = (answers.get(one) if isinstance(answers, dict) else None for one in ("text", "answer_start"))
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise RowError(ANSWERS, f"{who}expected text and answer_start, as many of each, found {shown(answers)}")
    if not texts and not may_lack:
        raise RowError(ANSWERS, f"{who}expected an answer, found none; --task squad_v2 takes questions without one")
    for text, start in zip(texts, starts, strict=True):
        _check_answer(who, str(row.context), text, start)


def _check_answer(who: str, context: str, text: object, start: object) -> None:
    if not isinstance(text, str) or not text.strip() or not isinstance(start, int):
        raise RowError(ANSWERS, f"{who}expected a text and a number, found {shown(text)} and {shown(start)}")
    there = context[start : start + len(text)] if start >= 0 else ""
    if there != text:
        raise RowError(
            ANSWERS, f"{who}expected the answer {shown(text)} at character {start} of its context, found {shown(there)}"
        )
