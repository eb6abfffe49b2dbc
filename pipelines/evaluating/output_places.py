"""The files that an evaluation is asked for: what cannot be written is refused before anything is predicted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.evaluating.submission import check_archive

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.training.request import EvaluateRequest


def check_answers(request: EvaluateRequest, made: Path | None = None) -> None:
    """Looks at where predictions and submission shall lie.

    Args:
        request: what the user asked for.
        made: a run's folder, which is made before them, with those above it; None for none.

    Raises:
        UserError: a folder that is missing, another file in the place, a name that says no format.
    """
    from pipelines.evaluating.predictions import check_predictions

    if request.predictions is not None:
        check_predictions(request.predictions)
        check_place("--predictions", request.predictions, made)
    if request.submission is not None:
        check_place("--submission", request.submission, made)
        check_archive(request.submission)


def check_place(option: str, path: Path, made: Path | None = None) -> None:
    """Refuses a file that could not be written for want of its folder.

    Args:
        option: that names it.
        path: the file.
        made: a run's folder that will be made, with those above it and its student's; None for none.

    Raises:
        UserError: the folder is not there or may not be written to, or the file's name is a folder's.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise UserError(f"{option} {path}: expected the name of a file, found a folder; add a name")
    coming = (made / "student", made, *made.parents) if made is not None else ()
    if folder in coming and not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(
            f"{option} {path}: expected a folder to write it into, found no {folder}; make it, or correct it"
        )
    if not os.access(folder, os.W_OK):
        raise UserError(
            f"{option} {path}: expected a folder that can be written to, {folder} cannot; choose another one"
        )
