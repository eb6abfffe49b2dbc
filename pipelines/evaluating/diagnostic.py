"""MNLI's diagnostic set (AX), which a submission may lack: the server scores every task that it is given."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError
from pipelines.tasks import OpenTask, stop_at_bad_row
from pipelines.tasks.glue import DIAGNOSTIC
from pipelines.tasks.glue_files import open_glue_file
from pipelines.tasks.hub import open_hub
from pipelines.training.parts import TaskData

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.training.reporting import TrainingReporter
    from pipelines.training.request import DataChoice

PLACES = ("diagnostic.tsv", "diagnostic/diagnostic.tsv", "AX/diagnostic.tsv", "AX/test.tsv", "ax/test.tsv")


def find_diagnostic(choice: DataChoice, reporter: TrainingReporter) -> TaskData | None:
    """The diagnostic set from where MNLI itself comes from: files, or the hub.

    Args:
        choice: where MNLI's data lies.
        reporter: is warned where it cannot be had, and what to do then.

    Returns:
        Its test part; None where it cannot be had.
    """
    return _from_hub(choice, reporter) if choice.data is None else _from_files(choice.data, reporter)


def _from_hub(choice: DataChoice, reporter: TrainingReporter) -> TaskData | None:
    try:
        opened = open_hub(DIAGNOSTIC, choice.revision, stop_at_bad_row)
    except UserError as error:
        reporter.warning(
            f"no diagnostic set, AX.tsv is left out: {error} The other files are complete; for AX.tsv run this command "
            "again with a network, or with --data FOLDER that has MNLI's files and diagnostic.tsv: it goes into the "
            "same archive"
        )
        return None
    return TaskData(opened.task, opened)


def _from_files(data: Path, reporter: TrainingReporter) -> TaskData | None:
    for place in (base / name for base in (data, data.parent) for name in PLACES):
        if place.is_file():
            opening: Any = partial(open_glue_file, DIAGNOSTIC, "test", place, stop_at_bad_row)
            return TaskData(DIAGNOSTIC, OpenTask(DIAGNOSTIC, {"test": opening}, str, str(place)))
    reporter.warning(
        f"no diagnostic set, AX.tsv is left out: expected one of {', '.join(PLACES)} in or beside --data, found none; "
        "put it there and run this command again: it goes into the same archive"
    )
    return None
