"""A text corpus on the hub, streamed: neither downloaded as a whole nor held in memory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from augment.files.hub import explain
from pipelines.corpus.files import FileCorpus, Piece, open_files
from pipelines.corpus.lines import row_pieces
from pipelines.errors import JobError, UserError
from pipelines.options.data import SENTENCES, CorpusChoice
from pipelines.tasks.hub import dataset_commit

if TYPE_CHECKING:
    from collections.abc import Iterator


NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
PART = "train"
REMEDY = "give a file or folder of text, JSON lines or Parquet with --corpus"
MOST_SAID = 400  # characters of a library's reason: some data sets have hundreds of configurations
# The hub's client tries again itself, five times in half a minute; `datasets` would have it do so twenty times more.
TRIES = {"MAX_RETRIES": 1, "RETRY_INTERVAL": 0, "SERVER_UNAVAILABLE_RETRY_INTERVAL": 0, "RATE_LIMIT_RETRY_INTERVAL": 0}


@dataclass(frozen=True)
class HubCorpus:
    """The train part of a data set on the hub.

    Args:
        name: its repository.
        config: its configuration; None for the only one.
        revision: its commit.
        column: text column.
        sentences: rows are sentences, blank ones the ends of documents; else each row is a document.
    """

    name: str
    config: str | None
    revision: str | None
    column: str
    sentences: bool = False
    left_out: ClassVar[str] = ""  # of its train part nothing

    @property
    def ends_by_row(self) -> bool:
        """Whether rows end documents."""
        return not self.sentences

    def inputs(self) -> list[dict[str, str | None]]:
        """Its name, configuration and commit, which stand for its content."""
        return [{"name": self.name, "config": self.config, "revision": self.revision}]

    def pieces(self) -> Iterator[Piece]:
        """Sentences and ends of documents.

        Raises:
            UserError: it cannot be had, has no such column, or a row without a text.
            JobError: the connection broke when rows had come already.
        """
        for number, row in enumerate(self._rows(), 1):
            yield from (Piece(piece, None) for piece in row_pieces(self._text(number, row), self.sentences))

    def _text(self, number: int, row: Any) -> str:
        text = row.get(self.column)
        if isinstance(text, str):
            return text
        found = "null" if text is None else type(text).__name__
        raise UserError(
            f"--corpus {self.name}, row {number}: expected text in column {self.column!r}, found "
            f"{found if self.column in row else ', '.join(row)}; name another column with --text, or {REMEDY}, such "
            "rows left out"
        )

    def _rows(self) -> Iterator[Any]:
        number = 0
        try:
            data = _datasets().load_dataset(self.name, self.config, split=PART, streaming=True, revision=self.revision)
            for number, row in enumerate(data, 1):  # noqa: B007 the last row's number is told where the next fails
                yield row
        except Exception as error:  # the library and the hub's client raise many kinds
            if number and isinstance(error, OSError):  # ConnectionError and the hub's own errors among them
                raise JobError(
                    f"--corpus {self.name}: the connection broke after row {number:,} ({_reason(error)}); run the same "
                    f"command again. Where it always breaks there the data set is damaged: {REMEDY}"
                ) from error
            raise self._refusal(error) from error

    def _refusal(self, error: Exception) -> UserError:
        reason = _reason(error)
        remedy = "check the network, or " if isinstance(error, OSError) else ""
        if "config" in reason.lower():
            remedy = "name a configuration with --corpus-config, or "
        return UserError(f"--corpus {self.name}: expected a data set to stream, found: {reason}; {remedy}{REMEDY}")


def open_corpus(choice: CorpusChoice, started: dict[str, Any] | None = None) -> FileCorpus | HubCorpus:
    """Finds a corpus; reads no text of it.

    Args:
        choice: what the user asked for.
        started: run.json of an earlier start, whose commit of the same data set is gone on with; None without one.

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
        return open_files(place, choice.column, choice.rows == SENTENCES)
    looks_like_file = Path(choice.place).suffix.lower() in (".txt", ".gz", ".jsonl", ".json", ".ndjson", ".parquet")
    if looks_like_file or not NAME.fullmatch(choice.place):
        raise UserError(
            f"--corpus {choice.place}: expected a file, a folder or a name on the hub, found nothing there; check the "
            "path"
        )
    commit = _recorded(choice, started) or _commit(choice)
    return HubCorpus(choice.place, choice.config, commit, choice.column, choice.rows == SENTENCES)


def _recorded(choice: CorpusChoice, started: dict[str, Any] | None) -> str | None:
    """The commit that an earlier start read, unless the user names another one: for it the hub need not be asked."""
    for found in (started or {}).get("inputs", {}).get("corpus", ()):
        same = (found.get("name"), found.get("config")) == (choice.place, choice.config)
        if same and choice.revision in (None, found.get("revision")):
            commit: str | None = found.get("revision")
            return commit
    return None


def _commit(choice: CorpusChoice) -> str | None:
    """The commit that the data set stands at, so that a resumed run reads the same rows."""
    try:
        return dataset_commit(choice.place, choice.revision)
    except Exception as error:  # the client raises many kinds
        raise UserError(
            f"--corpus {choice.place}: expected a file, a folder or a data set on the hub; there is no such file or "
            f"folder, and {explain(error, asked=True)}. Check the name and the network, from which a data set is "
            f"streamed, or {REMEDY}"
        ) from error


def _datasets() -> Any:
    """The library, silent, and trying as often as the hub's client alone does."""
    import datasets

    datasets.logging.set_verbosity_error()  # it warns at each try
    for name, value in TRIES.items():
        for what in ("READ", "OPEN"):
            setattr(datasets.config, f"STREAMING_{what}_{name}", value)
    return datasets


def _reason(error: Exception) -> str:
    """What was raised, in one line of a bounded length."""
    from huggingface_hub.errors import HfHubHTTPError

    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    if isinstance(cause, HfHubHTTPError):
        return explain(cause, asked=True)
    said = " ".join(str(error).split("Example of usage")[0].split()).rstrip(".") or type(error).__name__
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]}…"
