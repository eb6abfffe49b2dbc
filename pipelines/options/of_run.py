"""--run: the task, data, columns and model of a run, by what its run.json says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.options.config_file import Given

CLASSIFIERS = ("finetune", "distill")


def options_of_run(run: Path) -> Given:
    """What a user would type to have a run's student judged, or the model of a folder of `finetune` or `distill`.

    Args:
        run: folder of `tinyaug run`, finetune or distill.

    Raises:
        UserError: there is no such model.
    """
    folder, content = classifier_of(run)
    task, sources = content["task"], content["sources"]
    given: Given = {"task": task["name"], "model": str(folder)}
    columns = {"text": task["text_columns"], "label": task["label"]["column"], "label_type": task["label"]["kind"]}
    found = {"data": sources["data"], "data_revision": sources["data_revision"]}
    if task["name"] == "custom":
        names = task["label"]["names"] or None
        found |= columns | {"label_names": names and ",".join(names), "dev_split": task.get("dev_split")}
    return given | {name: value for name, value in found.items() if value is not None}


def classifier_of(run: Path) -> tuple[Path, Any]:
    """The folder of a run's student, or of the model that `finetune` or `distill` made, and its run.json.

    Raises:
        UserError: there is no such model.
    """
    from pipelines.run_folder.storage import Storage  # here, since --help loads no pyarrow

    for folder in (run, run / "student"):
        content = Storage(str(folder)).read_json("run.json") or {}
        if content.get("kind") in CLASSIFIERS:
            return folder, content
    raise UserError(
        f"--run {run}: expected a folder of `tinyaug run` with a student, or of {' or '.join(CLASSIFIERS)}, found "
        "none; name task, data and model instead"
    )
