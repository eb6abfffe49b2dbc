"""Opens a task by name: GLUE from files or the hub, or a user's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.tasks.custom import open_custom
from pipelines.tasks.glue import find_task, plain_name
from pipelines.tasks.glue_files import open_glue
from pipelines.tasks.hub import open_hub
from pipelines.tasks.squad_files import open_squad
from pipelines.tasks.task import listed, stop_at_bad_row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipelines.tasks.custom import CustomOptions
    from pipelines.tasks.split import OpenTask
    from pipelines.tasks.task import BadRow


def open_task(
    name: str,
    data: Path | None,
    options: CustomOptions | None = None,
    revision: str | None = None,
    on_bad: Callable[[BadRow], None] = stop_at_bad_row,
) -> OpenTask:
    """Finds the parts of a task.

    Args:
        name: A GLUE task in any spelling, or "custom".
        data: A file or folder; None: the hub (GLUE only).
        options: Columns of a custom task; None for GLUE.
        revision: The hub's revision; only without `data`.
        on_bad: Is given every bad row; the default stops at the first.

    Raises:
        UserError: If the task is unknown, or its files, columns or labels are not as expected.
    """
    if data is not None and revision is not None:
        raise UserError(f"--data-revision {revision} belongs to the hub, but --data {data} was given. Leave out one.")
    if plain_name(name) == "custom":
        lacking = ["--data FILE"] * (data is None) + ["--text COLUMN"] * (options is None)
        if data is None or options is None:
            raise UserError(
                f"--task custom: expected --data FILE and --text COLUMN, found no {' and no '.join(lacking)}. Add "
                f"{'it' if len(lacking) == 1 else 'them'}."
            )
        return open_custom(data, options, on_bad)
    task = find_task(name)
    if options is not None:
        raise UserError(
            f"--text and --label: expected --task custom, found --task {task.name}, whose columns are "
            f"{listed(task.text_columns)}. Leave them out, or pass --task custom."
        )
    if task.label.is_span:
        return open_squad(task, data, on_bad)
    return open_hub(task, revision, on_bad) if data is None else open_glue(task, data, on_bad)
