"""A tiny distillation run, as a library call and as a process that can be killed or started twice for DDP."""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from distill.cache_format import CacheMode
from distill.errors import StoppedError
from distill.layer_maps import resolve_layer_map
from distill.losses import LossSettings
from distill.objectives import IntermediateStage, PredictionStage
from distill.projections import Projections
from distill.student import Student
from distill.targets import Targets, cache_key
from distill.teacher import Teacher
from distill.teacher_cache import TeacherCache
from distill.training import train
from distill.training_settings import Hooks, TrainSettings
from tests.distill.data import open_stream
from tests.distill.models import tiny_encoder, tiny_student

LAYERS = resolve_layer_map("uniform", 2, 4)


class BrokenOff(Exception):  # noqa: N818 - no error: what ends a run in the middle
    """What ends a run in the middle."""


def tiny_pair(**student_changes) -> tuple[Student, Teacher]:
    """A two-layer student of width 16 and a four-layer teacher of width 32."""
    student = Student(tiny_student(**student_changes), Projections(16, 32))
    return student, Teacher(tiny_encoder(), LAYERS)


def tiny_targets(teacher: Teacher, stream, cache_folder: Path | None, rank: int = 0) -> Targets:
    """Targets with a full cache in `cache_folder`, or without."""
    if cache_folder is None:
        return Targets(teacher)
    shards = range(len(stream.files.paths))
    cache = TeacherCache(
        cache_folder,
        cache_key(teacher, stream, CacheMode.FULL),
        [stream.files.sha256(shard) for shard in shards],
        [stream.files.shard_rows(shard) for shard in shards],
        rank=rank,
    )
    return Targets(teacher, cache)


def tiny_run(
    data: Path,
    folder: Path,
    cache: Path | None = None,
    stage="intermediate",
    kill_at=None,
    stop_at=None,
    dropout=0.1,
    stop=None,
    **changes,
):
    """Trains two epochs; with `kill_at`, dies by SIGKILL when the loop reports that step; `stop_at` is an exception.

    `stop` is the loop's hook.
    """
    student, teacher = tiny_pair(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    stream = open_stream(data)
    kind = IntermediateStage if stage == "intermediate" else PredictionStage
    module = kind(student, teacher, LossSettings())
    processes = PartialState(cpu=True)
    with processes.main_process_first():  # as the pipelines do: the others find the folder made
        targets = tiny_targets(teacher, stream, cache, processes.process_index)

    def progress(now) -> None:
        if kill_at is not None and now.step >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if stop_at is not None and now.step >= stop_at:
            raise BrokenOff

    settings = {"epochs": 2, "learning_rate": 1e-2, "log_every": 1, "checkpoint_every": 4, "cpu": True}
    hooks = Hooks(progress=progress, stop=stop)
    state = train(module, stream, targets, folder, TrainSettings(**(settings | changes)), hooks)
    return module, state


def stop_at_call(number: str):
    """A hook that asks to stop from its call of that number on; None for an empty one."""
    calls = itertools.count(1)
    return (lambda: next(calls) >= int(number)) if number else None


def losses(folder: Path) -> list[float]:
    """The curve that a run wrote."""
    return [float(row["loss"]) for row in csv.DictReader((folder / "losses.csv").open())]


def weights(stage) -> dict[str, torch.Tensor]:
    """A copy of its weights."""
    return {name: value.clone() for name, value in stage.state_dict().items()}


if __name__ == "__main__":
    data, folder, cache, kill_at, dropout, max_steps = sys.argv[1:]
    try:
        tiny_run(
            Path(data),
            Path(folder),
            Path(cache) if cache else None,
            kill_at=int(kill_at) if kill_at else None,
            dropout=float(dropout),
            stop=stop_at_call(os.environ.get("STOP_AT_CALL", "")),
            **({"max_steps": int(max_steps)} if max_steps else {}),
            **json.loads(os.environ.get("SETTINGS", "{}")),
        )
    except StoppedError as stopped:
        print(stopped.step)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()  # else gloo's threads may abort the interpreter's exit
