"""Tasks: GLUE and users' own files, read as Arrow batches in bounded memory."""

from pipelines.tasks.custom import CustomOptions
from pipelines.tasks.features import METADATA_KEY, features_metadata
from pipelines.tasks.glue import GLUE, find_task
from pipelines.tasks.opening import open_task
from pipelines.tasks.split import OpenTask, Split
from pipelines.tasks.task import BadRow, InputFile, Label, Task, pass_over, stop_at_bad_row, stop_or_skip

__all__ = [
    "GLUE",
    "METADATA_KEY",
    "BadRow",
    "CustomOptions",
    "InputFile",
    "Label",
    "OpenTask",
    "Split",
    "Task",
    "features_metadata",
    "find_task",
    "open_task",
    "pass_over",
    "stop_at_bad_row",
    "stop_or_skip",
]
