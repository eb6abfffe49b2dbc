"""The GLUE server's submission: a zip archive with one TSV file for each test set."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.evaluating.output_files import write_whole
from pipelines.tasks.glue import DIAGNOSTIC, GLUE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from pipelines.tasks import Task

FILES = {file for task in (*GLUE.values(), DIAGNOSTIC) for file in task.submission}
"""What the server expects; AX, the diagnostic set, is answered by an MNLI model."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError)  # damaged, encrypted, odd
LOWEST, HIGHEST = 0.0, 5.0  # STS-B's scale


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
