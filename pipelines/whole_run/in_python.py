"""`pipelines.run`: the command `tinyaug run` as a function, whose texts may be in memory."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError
from pipelines.options.config_file import config_text
from pipelines.options.made import from_keywords, keywords
from pipelines.options.of_run import IN_MEMORY
from pipelines.options.whole_run import RunOptions
from pipelines.reporting import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = ("train", "validation", "dev", "test")  # names of a task's parts that are given in memory
NO_DATA = "# Its rows were in memory: give a file of them as data, here or as --data FILE.\n"  # of config.toml
logger = logging.getLogger("tinyaug")


@dataclass(frozen=True)
class Finished:
    """What a run made.

    Attributes:
        folder: the run directory.
        augmented: folder of the augmented rows; None for a method that reads none.
        teacher: folder or name of the teacher.
        student: folder of the student, which transformers loads.
        metrics: the content of metrics.json.
    """

    folder: Path
    augmented: Path | None
    teacher: str
    student: Path
    metrics: dict[str, Any]


class _Logging(Silent):
    """Hands what a run says to the logger `tinyaug`."""

    def message(self, *said: object, **_: object) -> None:
        """Logs it."""
        logger.info(*said)

    def warning(self, *said: object, **_: object) -> None:
        """Logs it."""
        logger.warning(*said)


def run(**options: Any) -> Finished:
    """From texts to a student: augments, fine-tunes a teacher unless one is given, distils, evaluates.

    Takes the options of `tinyaug run`, which `tinyaug run --help` explains, by their names with `_` for `-`. What a
    call did is not done again by the next one with the same `out`. What the command says goes to the logger `tinyaug`.

    Args:
        options: `task` at least. `data` may be, beside a file or folder, an Arrow table, a data frame, a data
            set of `datasets` or a dict of lists, or a dict of such tables by part (`train`, `validation`, `test`).

    Returns:
        Where everything lies, and the metrics.

    Raises:
        UserError, AugmentError, DistillError, VectorsError: an option, file or model that cannot be used.
        JobError: a stage failed; what was finished is kept.
    """
    from pipelines.cli.run_request import run_request
    from pipelines.found import Found
    from pipelines.whole_run.run_job import run_task

    if options.get("dry_run"):
        raise UserError("dry_run: expected it of the command (`tinyaug run --dry-run`) alone, found it in a call")
    with _on_disk(options.get("data")) as data:
        read = from_keywords(RunOptions, **{**options, **({} if data is None else {"data": data})})
        request = run_request(read)
        if data is not options.get("data"):  # config.toml names no folder that will be gone
            kept = {name: value for name, value in read.typed.items() if name != "--data"}
            request = replace(request, config=NO_DATA + config_text(kept))
        outcome = run_task(request, _Logging(), Found())
    folder = outcome.storage.local_folder()
    augmented = folder / "augmented" if outcome.augmented is not None else None
    folders = outcome.metrics.folders
    return Finished(folder, augmented, folders["teacher"], Path(folders["student"]), outcome.metrics.to_json())


run.__signature__ = keywords(RunOptions).replace(return_annotation="Finished")  # type: ignore[attr-defined]


@contextmanager
def _on_disk(data: Any) -> Iterator[str | Path | None]:
    """Where the data lies; tables are written to a folder that is there until the run is over.

    What a later call compares is the content: the same tables are the same task.
    """
    if data is None or isinstance(data, (str, Path)):
        yield data
        return
    import pyarrow.parquet as pq

    from augment.tables import as_table

    by_part = isinstance(data, Mapping) and (data.keys() <= {*PARTS} or any(map(_is_table, data.values())))
    parts = data if by_part else {"train": data}
    if unknown := [str(name) for name in parts if name not in PARTS]:
        raise UserError(f"data: expected tables of the parts {', '.join(PARTS)}, found one of {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix=IN_MEMORY) as folder:
        for part, rows in parts.items():
            place = Path(folder) / f"{part}.parquet"
            if hasattr(rows, "to_parquet") and hasattr(rows, "features"):  # of `datasets`, with names of classes
                rows.to_parquet(place)
            else:
                pq.write_table(as_table(rows), place)
        yield folder


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "columns") or hasattr(value, "column_names")
