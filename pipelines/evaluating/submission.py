"""The GLUE server's submission: a zip archive with one TSV file for each test set."""

from __future__ import annotations

import io
import zipfile
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError
from pipelines.evaluating.output_files import write_whole
from pipelines.tasks import OpenTask, Task, stop_at_bad_row
from pipelines.tasks.glue import DIAGNOSTIC, GLUE
from pipelines.tasks.glue_files import open_glue_file
from pipelines.tasks.hub import open_hub
from pipelines.training.parts import TaskData

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from pipelines.options.data import DataChoice
    from pipelines.reporting import Reporter

FILES = {file for task in (*GLUE.values(), DIAGNOSTIC) for file in task.submission}
"""What the server expects; AX, the diagnostic set, is answered by an MNLI model."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError)  # damaged, encrypted, odd
LOWEST, HIGHEST = 0.0, 5.0  # STS-B's scale
PLACES = ("diagnostic.tsv", "diagnostic/diagnostic.tsv", "AX/diagnostic.tsv", "AX/test.tsv", "ax/test.tsv")


def submitted_parts(task: Task) -> tuple[str, ...]:
    """The parts that a task's submission needs.

    Raises:
        UserError: the server knows no such task.
    """
    if not task.submitted:
        raise UserError(f"--submission: expected a task of GLUE, found {task.name}; use --predictions for your own")
    return tuple(task.submitted)


def submission_file(task: Task, logits: np.ndarray) -> bytes:
    """One file: `index` and `prediction`, tab-separated, rows in the test set's order.

    Args:
        task: GLUE task.
        logits: (rows, C) float; C = 1 for STS-B.
    """
    if task.label.kind == "score":
        answers = [f"{value:.3f}" for value in logits[:, 0].clip(LOWEST, HIGHEST).tolist()]
    elif task.submits_names:
        answers = [task.label.names[number] for number in logits.argmax(-1).tolist()]
    else:
        answers = [str(number) for number in logits.argmax(-1).tolist()]
    lines = [f"{index}\t{answer}" for index, answer in enumerate(answers)]
    return "\n".join(["index\tprediction", *lines, ""]).encode()


def read_archive(path: Path) -> dict[str, bytes]:
    """The files of an archive; none where there is no archive yet.

    Raises:
        UserError: it is no zip archive, or a damaged one.
    """
    if not path.exists():
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except UNREADABLE as error:
        raise UserError(
            f"--submission {path}: expected a zip archive or no file, found: {error}; give another name, or remove it"
        ) from error


def add_to_archive(path: Path, files: Mapping[str, bytes]) -> list[str]:
    """Writes files into a zip archive, beside those of other tasks that are in it already; all at once.

    Args:
        path: the archive.
        files: name -> content.

    Returns:
        Names of the server's files that are still missing in it.

    Raises:
        UserError: it is no zip archive.
        JobError: it cannot be written.
    """
    whole = {**read_archive(path), **files}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(whole.items()):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    write_whole(path, content.getvalue())
    return sorted(FILES - set(whole))


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
