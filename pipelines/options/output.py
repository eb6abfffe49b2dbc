"""Options of what a verb writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.options.option import COUNT, Options, Panel, option

DRY_RUN = "Print the plan; write nothing."


@dataclass(frozen=True, kw_only=True)
class Folder(Options):
    """The folder of a training verb."""

    panel = Panel.OUTPUT
    out: str = option("Folder to write into.", ...)
    overwrite: bool = option("Delete an earlier run in --out.", False)
    dry_run: bool = option(DRY_RUN, False)


@dataclass(frozen=True, kw_only=True)
class Shards(Options):
    """Shards of a run directory, and what is done with those of an earlier run."""

    panel = Panel.OUTPUT
    shard_rows: int = option("Source rows of an output shard.", 4096, bounds=COUNT)
    overwrite: bool = option("Delete an earlier run in --out.", False)
    verify: bool = option("Compare hashes of finished shards, not only sizes.", False)


@dataclass(frozen=True, kw_only=True)
class ShardsAsBefore(Shards):
    """Shards of another draw; None leaves their size."""

    shard_rows: int | None = option("Source rows of a shard.", bounds=COUNT)  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True)
class RunDirectory(Shards):
    """A run directory."""

    out: str | None = option("Run directory: a path or s3://… [runs/TASK].")
    reuse: str | None = option(
        "Take the candidates of texts that this run has; none finds them all anew [a run that is overwritten]."
    )
    dry_run: bool = option(DRY_RUN, False)


@dataclass(frozen=True, kw_only=True)
class Answers(Options):
    """Files with a model's predictions."""

    panel = Panel.OUTPUT
    submission: Path | None = option("Zip archive for the GLUE server; other tasks' files in it are kept.")
    predictions: Path | None = option(
        "Predictions on the dev parts, as .csv, .tsv, .jsonl or .parquet; SQuAD's as .json."
    )
