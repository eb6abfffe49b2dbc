"""The one training loop, on accelerate: CPU, one GPU, several processes (torchrun).

Stages differ in what they pass in (distill.objectives). A step is one batch of the stream; each rank and
accumulation part takes its share, and losses are weighted by the number of examples of the whole batch, so any
split gives the single-process gradient. Dropout is seeded anew for every part of every step, so that step,
position, weights and optimiser are enough to resume exactly.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file

from distill.accelerators import own_accelerator, own_device
from distill.checkpoints import LossCurve, RunState, load_checkpoint, run_identity, save_checkpoint
from distill.errors import StoppedError
from distill.folder_lock import folder_lock
from distill.losses import total_loss
from distill.optimiser import clipped_step, learning_rate_factor, make_optimiser
from distill.pending import STEP_FIELDS, PendingSteps
from distill.precision import gpu_kernels, resolve_precision
from distill.teacher import TeacherTargets, model_inputs
from distill.training_settings import Hooks, Progress, TrainSettings

if TYPE_CHECKING:
    from pathlib import Path

    from accelerate import Accelerator
    from torch import Tensor

    from distill.objectives import Stage
    from distill.shards import Batch, ShardStream
    from distill.targets import Targets

BEST_FILE = "best.safetensors"
AGREE_SECONDS = 5.0  # of steps after which several processes look whether one of them was asked to stop


def train(
    stage: Stage,
    stream: ShardStream,
    targets: Targets | None,
    folder: Path,
    settings: TrainSettings,
    hooks: Hooks | None = None,
) -> RunState:
    """Trains a stage from where its folder stands to the end.

    Args:
        stage: what to train, changed in place.
        stream: its data.
        targets: the teacher's outputs; None for a stage without a teacher.
        folder: for checkpoints and losses.csv; one run at a time.
        settings: of the loop.
        hooks: progress, evaluation, selection.

    Returns:
        The final state; a finished run comes back at once.

    Raises:
        DistillError: folder in use or of other settings, a loss that is not finite, unreadable data.
        StoppedError: `hooks.stop` asked for it; a checkpoint of the last step is kept.
    """
    device = own_device(settings)
    settings = replace(settings, precision=resolve_precision(settings.precision, device))
    accelerator = own_accelerator(stage, settings)
    lock = folder_lock(folder) if accelerator.is_main_process else nullcontext()
    own = [torch.cuda.current_device()] if device.type == "cuda" else []  # by default those of all GPUs
    with lock, torch.random.fork_rng(own), gpu_kernels(settings.precision, device):
        return _Loop(stage, stream, targets, folder, settings, hooks or Hooks(), accelerator).run()


@dataclass
class _Loop:
    """One run of `train`."""

    stage: Stage
    stream: ShardStream
    targets: Targets | None
    folder: Path
    settings: TrainSettings
    hooks: Hooks
    accelerator: Accelerator

    def __post_init__(self) -> None:
        processes = self.accelerator.num_processes
        self.cache = self.targets.cache if self.targets else None
        self.state, self.stopping = RunState(), False
        self.look_every = self.settings.log_every if processes == 1 else 1
        self.pending = PendingSteps(self.stream)
        self.identity = run_identity(self.stage, self.stream, self.targets, self.settings, processes)
        began = time.perf_counter()
        self.stage.to(self.accelerator.device).train()
        optimiser = make_optimiser(self.stage, self.settings)
        found = load_checkpoint(self.folder, self.identity)
        if found:
            self.state, weights, _ = found
            self.stage.load_state_dict(weights)
        every = self.stream.steps() * self.settings.epochs
        self.state = replace(self.state, steps=min(every, self.settings.max_steps or every))
        self.began = began - self.state.seconds
        self.looked = time.perf_counter(), self.state.examples
        self.model, self.optimiser = self.accelerator.prepare(self.stage, optimiser)
        if found:
            self._load_optimiser(found[2])
        if self.cache:
            with self.accelerator.main_process_first():
                self.cache.take_up()
        if self.accelerator.is_main_process:
            self.curve = LossCurve(self.folder / "losses.csv", self.state.step)
            if found and self.hooks.resumed:
                self.hooks.resumed(self.state)
        self.accelerator.wait_for_everyone()

    def run(self) -> RunState:
        """Epoch after epoch, from wherever the folder stands."""
        if self.state.unjudged:
            self._judge_epoch()
        while not self._finished():
            epoch = self.state.position.epoch
            for batch in self.stream.batches(self.state.position):
                self._step(batch)
                if self._finished() or self.state.position.epoch > epoch:
                    break
                self._between_steps()
            self._end_of_epoch()
        if self.hooks.select and (self.folder / BEST_FILE).exists():
            self.stage.load_state_dict(load_file(self.folder / BEST_FILE))
        return self.state

    def _between_steps(self) -> None:
        asked = self.accelerator.num_processes == 1 and self._asked()  # several processes agree when they look
        if asked or len(self.pending) >= self.look_every:
            self._look()
        if self.stopping or self.state.step % self.settings.checkpoint_every == 0:
            self._checkpoint()

    def _asked(self) -> bool:
        return self.hooks.stop is not None and self.hooks.stop()

    def _finished(self) -> bool:
        most = self.settings.max_steps
        return self.state.position.epoch >= self.settings.epochs or (most is not None and self.state.step >= most)

    def _step(self, batch: Batch) -> None:
        rate = self._set_rate(len(batch))
        parts = self.accelerator.num_processes * self.settings.accumulation
        first = self.accelerator.process_index * self.settings.accumulation
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=self.accelerator.device))
        for number in range(self.settings.accumulation):
            torch.manual_seed(_dropout_seed(self.settings.seed, self.state.step, first + number))
            part = batch.part(first + number, parts)
            last = number == self.settings.accumulation - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                losses = self._backward(part, batch)
            for kind, value in losses.items():
                sums[kind] += value
        norm = clipped_step(self.accelerator, self.optimiser, self.settings.clip)
        self.optimiser.zero_grad(set_to_none=True)
        row = {"step": self.state.step + 1, "epoch": self.state.position.epoch, "examples": len(batch)}
        self.pending.add(row | {"learning_rate": rate}, dict(sums), norm, batch)
        self.state = replace(
            self.state,
            step=self.state.step + 1,
            examples=self.state.examples + len(batch),
            position=batch.after,
        )

    def _backward(self, part: Batch, batch: Batch) -> dict[str, Tensor]:
        """Gradients of a part of the batch; its share of the batch's mean losses, by kind."""
        # DDP needs every rank in every step: one whose part is empty runs a row that counts for nothing.
        weight = 1.0 if len(part) else 0.0
        part = part if len(part) else batch.part(0, len(batch))
        given = TeacherTargets()
        if self.targets is not None:
            given = self.targets(part, self.stage.wanted, keep=bool(weight))
        labels = None if part.labels is None else torch.from_numpy(part.labels).to(self.accelerator.device)
        losses = self.model(model_inputs(part, self.stage.model), given, labels)
        share = weight / len(batch)
        # DDP averages over ranks; the loss of the batch is the sum of the ranks' shares.
        loss = total_loss(losses).sum() * (share * self.accelerator.num_processes)
        self.accelerator.backward(loss)
        return {kind: value.detach().float().sum() * share for kind, value in losses.items()}

    def _set_rate(self, size: int) -> float:
        """The rate at the middle of the coming step."""
        total = len(self.stream) * self.settings.epochs
        done = (self.state.examples + size / 2) / total
        if self.settings.max_steps:
            done = max(done, (self.state.step + 0.5) / self.settings.max_steps)
        factor = learning_rate_factor(self.settings, min(done, 1.0), self.state.step + 0.5)
        rate = self.settings.learning_rate * factor
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

    def _look(self) -> None:
        """Fetches the losses of the steps since the last look, checks and logs them; all hear who was asked to stop."""
        seconds = time.perf_counter() - self.looked[0]
        rows, sums = self.pending.take(self.accelerator, (self._asked(), seconds))
        if rows:
            asked, seconds = sums
            self.stopping |= asked > 0
            if self.accelerator.num_processes > 1:  # from sums, so all look after the same step
                steps = AGREE_SECONDS * self.accelerator.num_processes * len(rows) / max(seconds, 1e-9)
                self.look_every = max(1, min(self.settings.log_every, int(steps)))
        if not rows or not self.accelerator.is_main_process:
            return
        self.curve.write(rows)
        if self.hooks.progress:
            then, before = self.looked
            self.looked = time.perf_counter(), self.state.examples
            pace = (self.state.examples - before) / max(1e-9, self.looked[0] - then)
            losses = {kind: value for kind, value in rows[-1].items() if kind not in STEP_FIELDS}
            total = len(self.stream) * self.settings.epochs
            epoch = rows[-1]["epoch"]
            self.hooks.progress(Progress(self.state.step, epoch, self.state.examples, total, losses, pace))

    def _end_of_epoch(self) -> None:
        self._look()
        if self.cache:
            self.cache.flush()
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                self.cache.finish()
            self.accelerator.wait_for_everyone()
            self.cache.refresh()
        self.state = replace(self.state, unjudged=self.hooks.evaluate is not None)
        self._judge_epoch()

    def _judge_epoch(self) -> None:
        if self.hooks.evaluate and self.accelerator.is_main_process and not self.stopping:
            self.stage.eval()
            with suppress(StoppedError):  # then it is done when the run goes on
                self._judge(self.hooks.evaluate(self.stage))
            self.stage.train()
        self._checkpoint()

    def _judge(self, metrics: dict[str, float]) -> None:
        """Keeps the weights when they are the best so far."""
        self.state = replace(self.state, metrics=metrics, unjudged=False)
        if self.hooks.select is None:
            return
        value, best = metrics[self.hooks.select], self.state.best_value
        if best is None or value > best:
            temporary = self.folder / f"{BEST_FILE}.tmp"
            save_file(_weights(self.stage), temporary)
            temporary.replace(self.folder / BEST_FILE)
            self.state = replace(self.state, best_value=value, best_step=self.state.step)

    def _checkpoint(self) -> None:
        """Keeps what a later run goes on from; ends a run of which a process was asked to stop."""
        self._look()  # a checkpoint holds only steps whose losses were checked
        if self.cache:
            self.cache.flush()
        self.stopping |= any(gather_object([self._asked()]))
        self.state = replace(self.state, seconds=time.perf_counter() - self.began)
        if self.accelerator.is_main_process:
            states = {"optimiser": self.optimiser.state_dict()}
            if self.accelerator.scaler is not None:
                states["scaler"] = self.accelerator.scaler.state_dict()
            save_checkpoint(self.folder, self.identity, self.state, _weights(self.stage), states)
        self.accelerator.wait_for_everyone()
        if self.stopping:
            raise StoppedError(self.state.step)

    def _load_optimiser(self, states: dict[str, Any]) -> None:
        self.optimiser.load_state_dict(states["optimiser"])
        if self.accelerator.scaler is not None and "scaler" in states:
            self.accelerator.scaler.load_state_dict(states["scaler"])


def _weights(stage: Stage) -> dict[str, Tensor]:
    # Cloned: tied tensors share memory, which the file format refuses.
    return {name: value.detach().cpu().contiguous().clone() for name, value in stage.state_dict().items()}


def _dropout_seed(seed: int, step: int, part: int) -> int:
    return (seed * 1_000_003 + step) * 4_099 + part  # distinct for up to 4,099 parts of a step
