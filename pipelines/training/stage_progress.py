"""How far the stages of a training folder are, read from its files alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.run_folder.records import FORMAT_VERSION

if TYPE_CHECKING:
    from pipelines.run_folder.storage import Storage

STAGES = {
    "finetune": ("labels",),
    "distill": ("intermediate", "prediction"),
    "distill-general": ("general",),
    "cache-teacher": (),
}


@dataclass(frozen=True)
class StageProgress:
    """One stage.

    Args:
        name: of the stage.
        done: whether it is finished.
        step: steps done, those since the last checkpoint included; None for a stage that was not begun.
        steps: of the whole stage; None where that is not known yet.
        kept: step of the last checkpoint; None without one.
    """

    name: str
    done: bool
    step: int | None
    steps: int | None
    kept: int | None

    def __str__(self) -> str:
        if self.step is None:
            return "left out" if self.done else "not begun"
        if self.done:
            return f"done, {self.step:,} steps"
        kept = f"checkpoint of step {self.kept:,}" if self.kept is not None else "no checkpoint yet"
        return f"{steps_done(self.step, self.steps)}, {kept}"


@dataclass(frozen=True)
class TrainingProgress:
    """A training folder.

    Args:
        kind: the verb that made it.
        done: whether it is finished.
        stages: in order.
    """

    kind: str
    done: bool
    stages: tuple[StageProgress, ...]


def steps_done(step: int, steps: int | None) -> str:
    """How far a stage is, in words.

    Args:
        step: steps done.
        steps: of the whole stage; None where that is not known.
    """
    return f"step {step:,}" + (f" of {steps:,}" if steps is not None else "")


def training_progress(storage: Storage, folder: str = "") -> TrainingProgress | None:
    """How far a training folder is; None for a folder of another kind.

    Args:
        storage: the folder, or the run directory it lies in.
        folder: its name in that, with a slash behind.
    """
    content = storage.read_json(f"{folder}run.json") or {}
    kind = content.get("kind")
    if kind not in STAGES or content.get("format_version") != FORMAT_VERSION:
        return None
    metrics = storage.read_json(f"{folder}metrics.json")
    stages = (_stage(storage, folder, name, metrics) for name in STAGES[kind])
    return TrainingProgress(kind, metrics is not None, tuple(stages))


def _stage(storage: Storage, folder: str, name: str, metrics: dict[str, Any] | None) -> StageProgress:
    told = storage.read_json(f"{folder}{name}/stage.json")
    if metrics is not None:
        told = metrics.get("stages", {name: metrics}).get(name, {})
    if told is not None:
        return StageProgress(name, True, told.get("steps"), None, None)
    kept, steps = _checkpoint(storage, f"{folder}{name}")
    step = max(
        (number for number in (_last_logged(storage, f"{folder}{name}"), kept) if number is not None), default=None
    )
    return StageProgress(name, False, step, steps, kept)


def _checkpoint(storage: Storage, folder: str) -> tuple[int | None, int | None]:
    """Step of the last checkpoint, and steps of the stage; None for what is not told."""
    found = [name for name in storage.names(folder) if name.startswith("step-") and not name.endswith(".tmp")]
    content = storage.read_json(f"{folder}/{found[-1]}/state.json") if found else None
    state = (content or {}).get("state", {})
    return state.get("step"), state.get("steps")


def _last_logged(storage: Storage, folder: str) -> int | None:
    """The last step in losses.csv; None without one."""
    try:
        lines = storage.read_bytes(f"{folder}/losses.csv").decode().splitlines()
    except FileNotFoundError:
        return None
    steps = [line.split(",")[0] for line in lines[-2:]]  # the last line may be torn
    return max((int(step) for step in steps if step.isdigit()), default=None)
