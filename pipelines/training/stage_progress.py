"""How far the stages of a training folder are, read from its files alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.run_folder.records import FORMAT_VERSION

if TYPE_CHECKING:
    from pipelines.run_folder.storage import Storage


EARLIER = {  # stages of folders whose run.json does not name them
    "finetune": ("labels",),
    "distill": ("intermediate", "prediction"),
    "distill-general": ("general",),
    "cache-teacher": (),
}


NAMES = {"labels": "finetune"}  # of stages whose folders are called otherwise


@dataclass(frozen=True)
class TrainingState:
    """How far a training folder is.

    Args:
        stages: name -> how far it is, in words, in order.
        done: whether the folder is finished.
    """

    stages: dict[str, str]
    done: bool


def training_state(storage: Storage, folder: str = "") -> TrainingState | None:
    """How far a training folder is; None for a folder of another kind.

    Args:
        storage: the folder, or the run directory it lies in.
        folder: its name in that, with a slash behind.
    """
    content = storage.read_json(f"{folder}run.json") or {}
    names = content.get("stages", EARLIER.get(content.get("kind", "")))
    if names is None or content.get("format_version") != FORMAT_VERSION:
        return None
    metrics = storage.read_json(f"{folder}metrics.json")
    if metrics is None:
        found = {name: _begun(storage, f"{folder}{name}") for name in names}
    else:
        told = metrics.get("stages", dict.fromkeys(names, metrics))
        found = {name: _done(told[name]["steps"]) if name in told else "left out" for name in names}
    return TrainingState({NAMES.get(name, name): words for name, words in found.items()}, metrics is not None)


def steps_done(step: int, steps: int | None) -> str:
    """How far a stage is, in words.

    Args:
        step: steps done.
        steps: of the whole stage; None where that is not known.
    """
    return f"step {step:,}" + (f" of {steps:,}" if steps is not None else "")


def _done(steps: int) -> str:
    return f"done, {steps:,} steps"


def _begun(storage: Storage, folder: str) -> str:
    """How far a stage of an unfinished folder is: by its record, its last checkpoint, its losses."""
    if (told := storage.read_json(f"{folder}/stage.json")) is not None:
        return _done(told["steps"])
    checkpoints = [name for name in storage.names(folder) if name.startswith("step-") and not name.endswith(".tmp")]
    content = (storage.read_json(f"{folder}/{checkpoints[-1]}/state.json") if checkpoints else None) or {}
    kept, steps = (content.get("state", {}).get(name) for name in ("step", "steps"))
    reached = [step for step in (_last_logged(storage, folder), kept) if step is not None]
    if not reached:
        return "not begun"
    checkpoint = f"checkpoint of step {kept:,}" if kept is not None else "no checkpoint yet"
    return f"{steps_done(max(reached), steps)}, {checkpoint}"


def _last_logged(storage: Storage, folder: str) -> int | None:
    """The last step in losses.csv; None without one."""
    try:
        lines = storage.read_bytes(f"{folder}/losses.csv").decode().splitlines()
    except FileNotFoundError:
        return None
    steps = [line.split(",")[0] for line in lines[-2:]]  # the last line may be torn
    return max((int(step) for step in steps if step.isdigit()), default=None)
