"""A text corpus on the hub, streamed: neither downloaded as a whole nor held in memory."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError
from pipelines.training.corpus import FileCorpus, Piece, open_files
from pipelines.training.corpus_lines import pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.training.general_request import CorpusChoice

ANSWER_SECONDS = 5.0
NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
PART = "train"
REMEDY = "give a file or folder of text, JSON lines or Parquet with --corpus"


@dataclass(frozen=True)
class HubCorpus:
    """The train part of a data set on the hub.

    Args:
        name: its repository.
        config: its configuration; None for the only one.
        revision: its commit.
        column: text column.
    """

    name: str
    config: str | None
    revision: str | None
    column: str

    def inputs(self) -> list[dict[str, Any]]:
        """Its name, configuration and commit, which stand for its content."""
        return [{"name": self.name, "config": self.config, "revision": self.revision}]

    def pieces(self) -> Iterator[Piece]:
        """Sentences and ends of documents.

        Raises:
            UserError: it cannot be had, or has no such column.
        """
        import datasets

        try:
            rows = datasets.load_dataset(self.name, self.config, split=PART, streaming=True, revision=self.revision)
            for number, row in enumerate(rows):
                text = row.get(self.column)
                if not isinstance(text, str):
                    raise UserError(
                        f"--corpus {self.name}, row {number}: expected text in column {self.column!r}, found "
                        f"{', '.join(row)}; name the text column with --text"
                    )
                yield from (Piece(piece, None) for piece in pieces_of(text))
                yield Piece(None, None)
        except (OSError, ValueError) as error:  # ConnectionError and the hub's own errors among them
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"--corpus {self.name}: expected it from the hub, found: {reason}; {REMEDY}") from error


def open_corpus(choice: CorpusChoice) -> FileCorpus | HubCorpus:
    """Finds a corpus; reads no text of it.

    Raises:
        UserError: nothing of that name.
    """
    place = Path(choice.place).expanduser()
    if place.exists():
        if choice.config is not None or choice.revision is not None:
            raise UserError(
                f"--corpus-config and --corpus-revision belong to the hub, but --corpus {choice.place} is on this "
                "machine; leave them out"
            )
        return open_files(place, choice.column)
    looks_like_file = Path(choice.place).suffix.lower() in (".txt", ".gz", ".jsonl", ".json", ".ndjson", ".parquet")
    if looks_like_file or not NAME.fullmatch(choice.place):
        raise UserError(f"--corpus {choice.place}: expected a file, a folder or a name on the hub, found nothing there")
    if importlib.util.find_spec("datasets") is None:
        raise UserError(f"--corpus {choice.place}: expected the package `datasets` for the hub, found none; {REMEDY}")
    return HubCorpus(choice.place, choice.config, _commit(choice), choice.column)


def _commit(choice: CorpusChoice) -> str | None:
    """The commit that the data set stands at, so that a resumed run reads the same rows."""
    from huggingface_hub import HfApi

    try:
        commit: str | None = HfApi().dataset_info(choice.place, revision=choice.revision, timeout=ANSWER_SECONDS).sha
    except Exception as error:  # the client raises many kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"--corpus {choice.place}: expected a file or folder of that name, or a data set on the hub; found neither "
            f"({reason}); {REMEDY}"
        ) from error
    return commit
