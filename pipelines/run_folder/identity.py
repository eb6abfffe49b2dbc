"""What determines a run, as run.json records it; differences are told by the names of options."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pipelines.tasks import Label, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.augmenting.settings import Compute

VERSIONED = ("tinyaug", "torch", "transformers", "tokenizers", "numpy", "pyarrow")
DATA = {
    "task.name": "--task",
    "task.text_columns": "--text",
    "task.label.column": "--label",
    "task.label.kind": "--label-type",
    "task.label.names": "--label-names",
}
OPTIONS = {  # of settings whose option has another name than they have
    "augment": {
        "settings.candidates.segment": "--pair-context",
        "settings.draw.duplicates": "--unique",
        "settings.protect_more": "--protect",
    },
    "cache-teacher": {"settings.batch_rows": "--batch-size-intermediate"},
    "distill-general": {"settings.corpus.column": "--text"},
}
OF_TRAINING = {
    "parts": "--accumulation times processes",  # run.json has their product
    "settings.losses.kinds": "--losses",
    "settings.cache.mode": "--cache",
    "settings.cache.budget": "--cache-budget",
    "settings.student.config": "--student",
    "settings.student.start": "--student-init",
    "settings.student.embeddings": "--embedding-init",
    "settings.masked_lm.weight": "--mlm-weight",
    "settings.masked_lm.soft": "--mlm-soft",
}
OF_RECIPES = {"epochs": "--epochs", "batch_rows": "--batch-size", "learning_rate": "--lr"}
IN_RUN = {
    ("augment", "--precision"): "--augment-precision",
    ("finetune", "--epochs"): "--epochs-finetune",
    ("finetune", "--batch-size"): "--batch-size-finetune",
    ("finetune", "--lr"): "--lr-finetune",
    ("finetune", "--precision"): "--train-precision",
    ("distill", "--precision"): "--train-precision",
}


def option_of(kind: str, field: str) -> str:
    """What to call a setting in a message.

    Args:
        kind: of the run: augment, finetune, distill, distill-general, cache-teacher.
        field: its place in run.json, such as settings.draw.n.

    Returns:
        The option, with that of `tinyaug run` where it has another name there; the place itself where there is none.
    """
    known = {**DATA, **(OF_TRAINING if kind != "augment" else {}), **OPTIONS.get(kind, {})}
    for recipe, suffix in (("recipe", ""), ("intermediate", "-intermediate"), ("prediction", "-prediction")):
        known |= {f"settings.{recipe}.{name}": option + suffix for name, option in OF_RECIPES.items()}
    whole = next((name for name in known if field == name or field.startswith(f"{name}.")), None)
    if not kind or (whole is None and not field.startswith("settings.")):
        return field
    option = known[whole] if whole else "--" + field.rpartition(".")[2].replace("_", "-")
    inner = field[len(whole) + 1 :] if whole else ""
    in_run = IN_RUN.get((kind, option))
    return option + (f" ({inner})" if inner else "") + (f" (in `run`: {in_run})" if in_run else "")


def differences(old: Mapping[str, Any], new: Mapping[str, Any], kind: str = "", prefix: str = "") -> list[str]:
    """Names of the fields in which two identities differ, with both values.

    Args:
        old: as recorded.
        new: as asked for.
        kind: of the run, whose settings are called by their options; empty for none.
        prefix: name of the enclosing field.
    """
    found: list[str] = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if name == "task" and before and after and before["name"] != after["name"]:
            before, after = ({"name": task["name"]} for task in (before, after))  # its columns follow from it
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, kind, f"{prefix}{name}.")
        elif before != after:
            found.append(f"{option_of(kind, prefix + name)}: {_short(before)} there, {_short(after)} now")
    return found


def software_versions(compute: Compute | None = None) -> dict[str, str]:
    """Versions of the software that determines the output.

    Args:
        compute: how the masked LM runs: adds what multiplies its matrices on this machine. None: none runs.
    """
    versions = {name: _version(name) for name in VERSIONED}
    if compute is not None:
        from augment.packed_linear import linear_kernel

        versions["linear_layers"] = linear_kernel(compute.device, compute.precision)
    return versions


def task_content(task: Task) -> dict[str, Any]:
    """A task as plain data."""
    return as_json({"name": task.name, "text_columns": task.text_columns, "label": asdict(task.label)})


def task_from(content: Mapping[str, Any]) -> Task:
    """Reads a task back: what `task_content` gave."""
    label = Label(**{**content["label"], "names": tuple(content["label"]["names"])})
    return Task(content["name"], tuple(content["text_columns"]), label)


def content_hash(content: Mapping[str, Any]) -> str:
    """Hexadecimal sha256 of plain data in canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_json(content: Any) -> Any:
    """Plain data as it is read back: tuples are lists."""
    return json.loads(json.dumps(content))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "source tree"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"
