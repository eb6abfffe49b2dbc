"""The GLUE server's submission: a zip archive with one TSV file for each test set."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from typing import TYPE_CHECKING

from pipelines.errors import JobError, UserError
from pipelines.tasks.glue import DIAGNOSTIC, GLUE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import numpy as np

    from pipelines.tasks import Task

FILES = {file for task in (*GLUE.values(), DIAGNOSTIC) for file in task.submission}
"""What the server expects; AX, the diagnostic set, is answered by an MNLI model."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError)  # damaged, encrypted, odd
LOWEST, HIGHEST = 0.0, 5.0  # STS-B's scale


def submitted_parts(task: Task) -> tuple[str, ...]:
    """The parts that a task's submission needs, AX left out.

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


def check_archive(path: Path) -> None:
    """Refuses a file that others cannot be added to.

    Raises:
        UserError: it is no zip archive.
    """
    _kept(path, ())


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
    kept = _kept(path, files)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted({**kept, **files}.items()):
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    write_whole(path, content.getvalue())
    return sorted(FILES - {*kept, *files})


def _kept(path: Path, replaced: Collection[str]) -> dict[str, bytes]:
    """What an archive holds beside what will be replaced; nothing where there is none yet."""
    if not path.exists():
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name not in replaced}
    except UNREADABLE as error:
        raise UserError(
            f"--submission {path}: expected a zip archive or no file, found: {error}; give another name, or remove it"
        ) from error


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name and renames it.

    Raises:
        JobError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise JobError(f"{path}: cannot be written: {error.strerror or error}") from error
