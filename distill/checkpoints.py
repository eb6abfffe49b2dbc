"""Checkpoints of a training stage and its loss curve, from which a killed run resumes."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from distill.errors import DistillError
from distill.shards import Position
from distill.tokens import tokenizer_fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from distill.objectives import Stage
    from distill.shards import ShardStream
    from distill.targets import Targets
    from distill.training_settings import TrainSettings

STATE_FILE, WEIGHTS_FILE, OPTIMISER_FILE = "state.json", "weights.safetensors", "optimiser.pt"
# Settings that checkpoints of before lack, by what they were then: a teacher in each step, no compiled kernels.
LEFT_OUT = {"teacher_group": (None, 1), "compiled": (False,)}


@dataclass(frozen=True)
class RunState:
    """Where a run stands between two steps.

    Attributes:
        step: steps done.
        seconds: time they took, over all starts.
        examples: examples seen.
        position: the next batch.
        best_value: best value of the selecting metric so far.
        best_step: step it was reached at.
        metrics: the last evaluation.
        steps: of the whole run.
        unjudged: whether the run was stopped after an epoch's last step and before its evaluation.
        graph_steps: steps that ran as CUDA graphs.
    """

    step: int = 0
    examples: int = 0
    position: Position = field(default_factory=Position)
    best_value: float | None = None
    best_step: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    steps: int = 0
    unjudged: bool = False
    graph_steps: int = 0


def run_identity(
    stage: Stage, stream: ShardStream, targets: Targets | None, settings: TrainSettings, processes: int
) -> dict[str, object]:
    """Everything that decides the losses, which a resumed run must share.

    Args:
        stage: the stage that is trained.
        stream: its data.
        targets: the teacher's outputs, or None.
        settings: of the loop.
        processes: how many share a step; dropout is drawn for each part of a step, wherever it runs.
    """
    loop, data = asdict(settings), asdict(stream.settings)
    # Graphs run the same operations: on a GPU losses agree within the precision, as they do from card to card, so a run
    # may go on without them where they fail, or with them where they did.
    for name in ("log_every", "checkpoint_every", "cpu", "graphs"):
        loop.pop(name)
    for name, usual in LEFT_OUT.items():
        if loop[name] in usual:
            loop.pop(name)
    loop["parts"] = loop.pop("accumulation") * processes
    data.pop("workers")
    # Content decides the row groups, too.
    names = [f"{Path(path).name}, sha256 {stream.files.sha256(i)}" for i, path in enumerate(stream.files.paths)]
    teacher = targets.teacher.note_fingerprint() if targets else None
    cache = targets.cache.key.as_json() if targets and targets.cache else None
    tokenizer = tokenizer_fingerprint(stream.tokenizer_json)
    told = {"stage": stage.name, **stage.identity(), "teacher": teacher, "tokenizer": tokenizer, **loop}
    if stream.other is not None:
        told["teacher_tokenizer"] = tokenizer_fingerprint(stream.other.tokenizer_json)
    return {**told, "data": data, "columns": asdict(stream.columns), "shards": names, "cache": cache}


def save_checkpoint(
    folder: Path,
    run: Mapping[str, object],
    state: RunState,
    weights: Mapping[str, Tensor],
    optimiser: object,
) -> None:
    """Writes a checkpoint under a temporary name, renames it, then deletes older ones.

    Args:
        folder: folder of the stage.
        run: settings that a resumed run must share.
        state: where the run stands.
        weights: weights of the stage, frozen ones included.
        optimiser: states of optimiser and loss scaler.
    """
    name = f"step-{state.step:09d}"
    temporary = folder / f"{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in weights.items()}, temporary / WEIGHTS_FILE)
    torch.save(optimiser, temporary / OPTIMISER_FILE)
    content = {"run": run, "state": asdict(state)}
    (temporary / STATE_FILE).write_text(json.dumps(content, indent=1))
    for path in (*temporary.iterdir(), temporary):
        _sync(path)
    final = folder / name
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    _sync(folder)
    for old in folder.glob("step-*"):
        if old.name != name:
            shutil.rmtree(old)


def host_copy(states: Any) -> Any:
    """A copy of nested states on the host, which later steps leave as it is; a GPU is waited for once.

    Args:
        states: tensors in dicts, lists and tuples; tied ones become tensors of their own.
    """
    waiting: set[torch.device] = set()

    def copied(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: copied(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(copied, value))
        if not isinstance(value, torch.Tensor):
            return value
        gpu = value.device.type == "cuda"
        host = torch.empty(value.shape, dtype=value.dtype, pin_memory=gpu)
        if gpu:
            waiting.add(value.device)
        return host.copy_(value.detach(), non_blocking=gpu)

    found = copied(states)
    for device in waiting:
        torch.cuda.current_stream(device).synchronize()
    return found


def load_checkpoint(
    folder: Path, run: Mapping[str, object]
) -> tuple[RunState, dict[str, Tensor], dict[str, Any]] | None:
    """Reads state, weights and optimiser of the newest checkpoint; None without a checkpoint.

    Raises:
        DistillError: the checkpoint belongs to a run with other settings, or cannot be read.
    """
    found = sorted(path for path in folder.glob("step-*") if path.suffix != ".tmp")
    if not found:
        return None
    try:
        stored = json.loads((found[-1] / STATE_FILE).read_text())
        weights = load_file(found[-1] / WEIGHTS_FILE)
        optimiser = torch.load(found[-1] / OPTIMISER_FILE, weights_only=True, map_location="cpu")
    except Exception as error:  # three formats, each with its own errors
        raise DistillError(
            f"expected a checkpoint in {found[-1]}; it cannot be read ({error}). Delete it and start anew."
        ) from error
    usual = {name: values[-1] for name, values in LEFT_OUT.items()}
    own, theirs = usual | json.loads(json.dumps(run)), usual | stored["run"]
    for name, value in own.items():
        there = theirs.get(name)
        if there != value:
            if name == "shards":  # the first pair that differs
                pairs = itertools.zip_longest(value, there or [])
                value, there = next((pair for pair in pairs if pair[0] != pair[1]), (None, None))
            raise DistillError(
                f"expected {name} {value!r} as this run has; the checkpoint in {folder} was made with {there!r}. "
                "Resume with the same settings and data, or choose another folder."
            )
    state = stored["state"]
    return RunState(**{**state, "position": Position(**state["position"])}), weights, optimiser


class LossCurve:
    """losses.csv: one line a step, equal in equal runs.

    Args:
        path: the file.
        step: step of the checkpoint; lines of later steps, from before a kill, are dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        if path.exists():
            lines = path.read_text().splitlines(keepends=True)
            # A line torn by a full disk has no end, or runs into the next one.
            whole = [line for line in lines if line.endswith("\n") and line.count(",") == lines[0].count(",")]
            temporary = path.with_suffix(".tmp")
            temporary.write_text("".join(line for line in whole if _step_of(line) <= step))
            temporary.replace(path)

    def write(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Appends steps, after a header where the file is new."""
        new = not self.path.exists() or self.path.stat().st_size == 0
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerows(rows)


def _step_of(line: str) -> int:
    first = line.split(",", 1)[0]
    return int(first) if first.isdigit() else 0


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
