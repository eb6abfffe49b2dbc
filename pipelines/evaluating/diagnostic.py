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

    from pipelines.options.data import DataChoice
    from pipelines.reporting import Reporter

PLACES = ("diagnostic.tsv", "diagnostic/diagnostic.tsv", "AX/diagnostic.tsv", "AX/test.tsv", "ax/test.tsv")


def find_diagnostic(choice: DataChoice, reporter: Reporter) -> TaskData | None:
    """The diagnostic set from where MNLI itself comes from: files, or the hub.

    Args:
        choice: where MNLI's data lies.
        reporter: is warned where it cannot be had, and what to do then.

    Returns:
        Its test part; None where it cannot be had.
    """
    try:
        if choice.data is None:
            return TaskData(DIAGNOSTIC, open_hub(DIAGNOSTIC, choice.revision, stop_at_bad_row))
        place = _find_file(choice.data)
    except UserError as error:
        reporter.warning(
            f"no diagnostic set, AX.tsv is left out: {error} The other files are complete; for AX.tsv run this command "
            "again with --data FOLDER that has MNLI's files and diagnostic.tsv, or without --data and with a network: "
            "it goes into the same archive"
        )
        return None
    opening: Any = partial(open_glue_file, DIAGNOSTIC, "test", place, stop_at_bad_row)
    return TaskData(DIAGNOSTIC, OpenTask(DIAGNOSTIC, {"test": opening}, str, str(place)))


def _find_file(data: Path) -> Path:
    for place in (base / name for base in (data, data.parent) for name in PLACES):
        if place.is_file():
            return place
    raise UserError(f"expected one of {', '.join(PLACES)} in or beside --data, found none.")
