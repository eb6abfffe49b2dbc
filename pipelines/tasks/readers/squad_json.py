"""SQuAD's official JSON: articles under `data`, their `paragraphs`, and the questions on each, `qas`."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipelines.errors import UserError
from pipelines.tasks.readers.source import Chunk, Source
from pipelines.tasks.squad import ANSWERS, CONTEXT, ID, QUESTION, TITLE, Unchecked
from pipelines.tasks.task import ANSWERS as ANSWERS_TYPE
from pipelines.tasks.task import CONVERT, TEXT_SHOWN, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCHEMA = pa.schema([*((name, pa.string()) for name in (ID, TITLE, CONTEXT, QUESTION)), (ANSWERS, ANSWERS_TYPE)])


def squad_json_source(path: Path, name: str) -> Source:
    """A file of the official form; it is read whole, once for each pass over it.

    Args:
        path: The file.
        name: Its name inside the data folder.

    Raises:
        UserError: If it cannot be read, is no JSON or of another form; the message has the place.
    """
    return Source(path, name, str(path), _SCHEMA, partial(_chunks, path), rows=len(_questions(path)))


def _chunks(path: Path, rows: int, columns: list[str] | None, every: int = 1) -> Iterator[Chunk]:  # noqa: ARG001
    questions = _questions(path)
    for first in range(0, len(questions), rows * every):
        some = questions[first : first + rows * every]
        yield _chunk(some[::every], min(1.0, (first + len(some)) / len(questions)), float(every))


def _chunk(questions: list[Unchecked], done: float, stands_for: float) -> Chunk:
    def values(column: str) -> list[object]:
        return [getattr(question, column) for question in questions]

    def begin(row: int, text: str) -> tuple[None, str]:
        return None, str(getattr(questions[row], text))[:TEXT_SHOWN]

    return Chunk(len(questions), done, range(len(questions)), {}, values, begin, stands_for=stands_for)


def _questions(path: Path) -> list[Unchecked]:
    """All questions with their contexts, in order; what is wrong with single values is left to whoever checks rows."""
    found = []
    for number, article in enumerate(_list(_read(path), "data", f"{path}: ")):
        where = f"{path}: data[{number}]"
        for place, paragraph in enumerate(_list(article, "paragraphs", f"{where}.")):
            inside = f"{where}.paragraphs[{place}]"
            for asked, question in enumerate(_list(paragraph, "qas", f"{inside}.")):
                _check_object(question, f"{inside}.qas[{asked}]")
                title, context = article.get("title"), paragraph.get(CONTEXT)
                title = title if isinstance(title, str) else None
                found.append(Unchecked(question.get(ID), context, question.get(QUESTION), _answers(question), title))
    return found


def _answers(question: Any) -> object:
    """The answers of a question as the hub has them; plausible ones of those without an answer are left out."""
    given = [] if question.get("is_impossible") is True else question.get(ANSWERS)
    if isinstance(given, list) and all(isinstance(one, dict) for one in given):
        return {name: [one.get(name) for one in given] for name in ("text", "answer_start")}
    return given


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: expected a readable file; {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8, found byte 0x{error.object[error.start]:02x}; {CONVERT}.") from error
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {error.lineno}, column {error.colno}: expected SQuAD's JSON, found: {error.msg}. Download "
            "it again, or name JSON lines .jsonl."
        ) from error


def _list(content: Any, name: str, where: str) -> list[Any]:
    _check_object(content, where.rstrip(".: "))
    found = content.get(name)
    if not isinstance(found, list):
        what = "nothing of that name" if name not in content else shown(found)
        raise UserError(f"{where}{name}: expected a list, found {what}. Give a file in SQuAD's official form.")
    return found


def _check_object(content: object, where: str) -> None:
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected an object, found {shown(content)}. Give a file in SQuAD's official form.")
