"""Options of the texts that a verb reads: a task's rows, or a corpus."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.options.option import COUNT, RATE, Bounds, Options, flag, option

if TYPE_CHECKING:
    from pipelines.tasks import CustomOptions

TEXT_COLUMN = "text"
OnBadRow = StrEnum("OnBadRow", ["stop", "skip"])
RowsAre = StrEnum("RowsAre", ["documents", "sentences"])  # what a row of JSON lines, Parquet or the hub is
SENTENCES = RowsAre.sentences


def comma_separated(text: str) -> tuple[str, ...]:
    """The parts between commas, without the space around them."""
    return tuple(part.strip() for part in text.split(","))


def class_names(entries: list[str]) -> tuple[str, ...]:
    """Names by commas; of several entries each is a name, whose commas are its own."""
    return comma_separated(entries[0]) if len(entries) == 1 else tuple(entries)


@dataclass(frozen=True)
class DataChoice(Options):
    """A task and where its parts are; text and label columns are of a custom task alone.

    Args:
        skip_bad_rows: leave out rows of the train part that cannot be read: a stage before has written them down.
    """

    task: str = option("cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli, squad, squad_v2, or custom.", ...)
    data: Path | None = option(
        "GLUE folder (classic TSV), SQuAD's JSON, or your own csv, tsv, jsonl, parquet, arrow; else GLUE's hub."
    )
    revision: str | None = option("Revision of the data set on the hub.", None, "--data-revision")
    text: list[str] | None = option("Text column of a custom task; may be repeated.")
    label: str | None = option("Label column of a custom task.")
    label_type: str | None = option("What the labels of a custom task are.", choices=("class", "score", "none"))
    label_names: tuple[str, ...] | None = option(
        "Class names in the order of a teacher's, by commas; repeated, one each.", read=class_names, typed=list[str]
    )
    dev_split: float | None = option(
        "Share of the train rows of a custom task to hold back as its dev part, the same in every verb.", bounds=RATE
    )
    skip_bad_rows: bool = False

    @cached_property
    def custom(self) -> CustomOptions | None:
        """The columns of a custom task; None if none is named.

        Raises:
            UserError: options that contradict each other, or that only a custom task has.
        """
        from pipelines.tasks import CustomOptions
        from pipelines.tasks.glue import find_task, plain_name

        options = ("text", "label", "label_type", "label_names", "dev_split")
        named = [name for name in options if getattr(self, name) not in (None, [])]
        if not named:
            return None
        typed = ", ".join(flag(DataChoice, name) for name in named)
        if plain_name(self.task) != "custom":
            task = find_task(self.task)
            raise UserError(
                f"{typed}: expected --task custom, found --task {task.name}, whose columns and parts are known (text "
                f"{', '.join(task.text_columns)}; label {task.label.column}); leave {typed} out, or pass --task custom"
            )
        if not self.text:
            raise UserError(f"--text: expected the name of a text column beside {typed}, found none; add --text COLUMN")
        return CustomOptions(tuple(self.text), self.label, self.label_type, self.label_names, dev_split=self.dev_split)

    def with_labels(self) -> DataChoice:
        """The same, where labels that are named can be read: training and judging read them from the task's files.

        Raises:
            UserError: labels of a custom task whose own parts, which would have them, were not named.
        """
        if self.data is None and self.custom is not None and (self.custom.label or self.dev_split):
            named = f"--label {self.custom.label}" if self.custom.label else "--dev-split"
            raise UserError(
                f"{named}: expected --data with the task's own files beside it, found none; add "
                "--data, or leave the label out for a method that reads none"
            )
        return self


@dataclass(frozen=True)
class DevChoice(DataChoice):
    """A task whose dev rows a model is judged on, if one is named."""

    task: str | None = option(  # type: ignore[assignment]
        "Task to judge on, as of evaluate [dev rows in the model's folder, else a made-up text]."
    )


@dataclass(frozen=True, kw_only=True)
class Rejects(Options):
    """What becomes of rows that were rejected."""

    allow_rejects: bool = option("Exit with 0 although rows were rejected.", False)


@dataclass(frozen=True, kw_only=True)
class InputRows(Rejects):
    """The rows of the input that are augmented."""

    limit: int | None = option("Augment only the first N rows of the input.", bounds=COUNT)
    on_bad_row: OnBadRow = option("skip writes rows that cannot be read to rejected.parquet.", OnBadRow.stop)
    demo: bool = option(
        "Use embedded model, vectors and sentences; --data, --mlm and --glove of your own go before them.", False
    )


@dataclass(frozen=True)
class CorpusChoice(Options):
    """The text that general distillation and pre-training learn from.

    Args:
        place: a file, a folder, or a name on the hub.
        column: text column of JSON lines, Parquet, CSV, TSV and the hub.
        config: configuration of a data set on the hub.
        revision: of it.
        limit: sequences at most; None for all.
        rows: what a row is: documents, or sentences, with a blank one at the end of a document.
        pairs: share of the sequences of two sentences or more that become pairs; None for the default, which depends
            on the models.

    Raises:
        UserError: a value out of its range.
    """

    place: str = option(
        "File, folder of files, or data set on the hub: .jsonl, .parquet, or text (.txt, .txt.gz), a sentence a line, "
        "a blank line between documents.",
        ...,
        "--corpus",
    )
    column: str = option("Text column of jsonl, parquet, csv, tsv, hub.", TEXT_COLUMN, "--text")
    config: str | None = option("Configuration of the data set on the hub.", None, "--corpus-config")
    revision: str | None = option("Revision of the data set on the hub.", None, "--corpus-revision")
    limit: int | None = option("Read only the first N packed sequences.", bounds=COUNT)
    rows: RowsAre = option("What a row is; an empty row of sentences ends a document.", RowsAre.documents)
    pairs: float | None = option(
        "Share of packed sequences that become pairs of segments [0.5; 0 where a model has one].", bounds=Bounds(0, 1)
    )


@dataclass(frozen=True)
class PairedCorpus(CorpusChoice):
    """The text that pre-training learns from, all of it in pairs."""

    pairs: float | None = None


@dataclass(frozen=True)
class CorpusInRun(PairedCorpus):
    """The text that the student of a run learns from before it learns the task; without a place there is none."""

    place: str | None = option(  # type: ignore[assignment]
        "Text that the student learns from first, as by distill-general (tinybert, distilbert) or pretrain "
        "(bert-small).",
        None,
        "--corpus",
    )
    column: str = option("Text column of jsonl, parquet, csv, tsv, hub.", TEXT_COLUMN, "--corpus-text")
    limit: int | None = option("Read only the first N packed sequences.", None, "--corpus-limit", bounds=COUNT)
    rows: RowsAre = option("What a row of --corpus is.", RowsAre.documents, "--corpus-rows")
