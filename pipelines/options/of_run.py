"""--run: the task, data, columns and model of a run, by what its run.json says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipelines.options.config_file import Given

CLASSIFIERS = ("finetune", "distill")
IN_MEMORY = "tinyaug-in-memory-"  # what a folder of rows that `pipelines.run` was given is called, until it is removed


def options_of_run(run: Path, named: Collection[str]) -> Given:
    """What a user would type to have a run's student judged, or the model of a folder of `finetune` or `distill`.

    Args:
        run: folder of `tinyaug run`, finetune or distill.
        named: what the user gave; of data that was named a run knows neither revision nor dev part.

    Raises:
        UserError: there is no such model, or its data was in memory and none was named.
    """
    folder, content = classifier_of(run)
    task, sources = content["task"], content["sources"]
    given: Given = {"task": task["name"], "model": str(folder)}
    columns = {"text": task["text_columns"], "label": task["label"]["column"], "label_type": task["label"]["kind"]}
    found = {}
    if "data" not in named:
        found = {name: sources[name] for name in ("data", "data_revision")} | {"dev_split": task.get("dev_split")}
        if Path(sources["data"] or "").name.startswith(IN_MEMORY):
            raise UserError(f"--run {run}: expected --data beside it, for the run's rows were in memory; add --data")
    if task["name"] == "custom":
        found |= columns | {"label_names": task["label"]["names"] or None}
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
