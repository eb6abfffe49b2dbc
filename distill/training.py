"""The one training loop, on accelerate: CPU, one GPU, several processes (torchrun).

Stages differ in what they pass in (distill.objectives). A step is one batch of the stream; each rank and
accumulation part takes its share, and losses are weighted by the number of examples of the whole batch, so any
split gives the single-process gradient. Dropout is seeded anew for every part of every step, so that step,
position, weights and optimiser are enough to resume exactly.
"""

from __future__ import annotations

import time
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file

from distill.accelerators import own_accelerator, own_device
from distill.checkpoints import LossCurve, RunState, host_copy, load_checkpoint, run_identity
from distill.dropout import seed_dropout
from distill.errors import StoppedError
from distill.feed import Feed
from distill.folder_lock import folder_lock
from distill.graphs import GraphSteps, make_recorder
from distill.groups import GROUP_BATCHES, ONE
from distill.keeper import Keeper
from distill.optimiser import learning_rate_factor, make_optimiser, restore_states, set_rate, training_states
from distill.pending import STEP_FIELDS, PendingSteps
from distill.precision import gpu_kernels, resolve_precision
from distill.step import StudentStep
from distill.training_settings import Hooks, Progress, TrainSettings

if TYPE_CHECKING:
    from pathlib import Path

    from accelerate import Accelerator

    from distill.feed import Lesson
    from distill.graphs import Recorder
    from distill.objectives import Stage
    from distill.shards import ShardStream
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
    if settings.teacher_group is None:  # resolved here, for it decides the rounding of targets
        settings = replace(settings, teacher_group=GROUP_BATCHES if targets and device.type == "cuda" else 1)
    accelerator = own_accelerator(stage, settings)
    lock = folder_lock(folder) if accelerator.is_main_process else nullcontext()
    cards = [torch.cuda.current_device()] if device.type == "cuda" else []  # by default all
    with lock, torch.random.fork_rng(cards), gpu_kernels(settings.precision, device):
        loop = _Loop(stage, stream, targets, folder, settings, hooks or Hooks(), accelerator)
        with closing(loop):
            return loop.run()


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
        processes, self.cache = self.accelerator.num_processes, self.targets.cache if self.targets else None
        self.state, self.stopping = RunState(), False
        self.look_every = self.settings.log_every if processes == 1 else 1
        self.pending = PendingSteps(self.stream)
        self.identity = run_identity(self.stage, self.stream, self.targets, self.settings, processes)
        self.keeper, began = Keeper(self.folder, self.identity, self.settings.checkpoint_every), time.perf_counter()
        self.stage.to(self.accelerator.device).train()
        recorder = self._recorder()
        optimiser = make_optimiser(self.stage, self.settings, graphs=recorder is not None)
        found = load_checkpoint(self.folder, self.identity)
        if found:
            self.state, weights, _ = found
            self.stage.load_state_dict(weights)
        stream, every = self.stream.settings, self.stream.steps() * self.settings.epochs
        self.state = replace(self.state, steps=min(every, self.settings.max_steps or every))
        self.began = began - self.state.seconds
        self.looked = time.perf_counter(), self.state.examples
        self.model, self.optimiser = self.accelerator.prepare(self.stage, optimiser)
        if found:
            restore_states(self.accelerator, self.optimiser, found[2], graphs=recorder is not None)
        clip, precision, compiled = self.settings.clip, self.settings.precision, self.settings.compiled
        self.step = StudentStep(self.stage, self.model, self.accelerator, self.optimiser, clip, precision, compiled)
        self.graphs = GraphSteps(self.step, recorder, stream.batch_rows, stream.max_length)
        self.feed = self._feed(recorder is not None)
        if self.cache:
            with self.accelerator.main_process_first():
                self.cache.take_up()
        if self.accelerator.is_main_process:
            self.curve = LossCurve(self.folder / "losses.csv", self.state.step)
            if found and self.hooks.resumed:
                self.hooks.resumed(self.state)
        self.accelerator.wait_for_everyone()

    def _recorder(self) -> Recorder | None:
        """Of graphs, where a step is one part of one process and no scaler, which reads the device, is between."""
        wanted = self.settings.graphs
        usual = self.accelerator.device.type == "cuda" if wanted is None else wanted
        single = self.accelerator.num_processes == 1 and self.settings.accumulation == 1
        able = self.stage.captured and single and self.accelerator.scaler is None
        return make_recorder(self.accelerator.device) if usual and able else None

    def _feed(self, graphs: bool) -> Feed:
        device, own = self.stage.model.device, self.settings.accumulation
        parts, first = self.accelerator.num_processes * own, self.accelerator.process_index * own
        numbers, buckets = (range(first, first + own), parts), graphs or device.type == "cuda"
        most = self.settings.teacher_group or 1
        group = self.targets.group_limits(self.stage.wanted, most) if self.targets else ONE
        return Feed(self.stream, self.targets, self.stage.wanted, device, numbers, group, buckets)

    def run(self) -> RunState:
        """Epoch after epoch, from wherever the folder stands."""
        if self.state.unjudged:
            self._judge_epoch()
        while not self._finished():
            epoch = self.state.position.epoch
            with closing(self.feed.lessons(self.state.position)) as lessons:
                for lesson in lessons:
                    self._step(lesson)
                    if self._finished() or self.state.position.epoch > epoch:
                        break
                    self._between_steps()
            self._end_of_epoch()
        if self.hooks.select and (self.folder / BEST_FILE).exists():
            self.stage.load_state_dict(load_file(self.folder / BEST_FILE))
        return self.state

    def _between_steps(self) -> None:
        # Several processes agree when they look.
        asked = self.accelerator.num_processes == 1 and (self._asked() or self.keeper.overdue())
        if asked or len(self.pending) >= self.look_every:
            self._look(late=self.graphs.used and not asked)
        if self.stopping or self.keeper.due(self.state.step):
            self._checkpoint()

    def _asked(self) -> bool:
        return self.hooks.stop is not None and self.hooks.stop()

    def _finished(self) -> bool:
        most = self.settings.max_steps
        return self.state.position.epoch >= self.settings.epochs or (most is not None and self.state.step >= most)

    def _step(self, lesson: Lesson) -> None:
        batch, state = lesson.batch, self.state
        rate = self._set_rate(len(batch))
        first = self.accelerator.process_index * self.settings.accumulation
        seeds = [_dropout_seed(self.settings.seed, state.step, first + n) for n in range(len(lesson.parts))]
        seed_dropout(seeds[0], self.accelerator.device)
        numbers = self.graphs.run(lesson.parts[0], lesson.given[0])
        if replayed := numbers is not None:
            found = numbers
        else:
            shares = [part.counts / len(batch) for part in lesson.parts]
            with self.graphs.ordinary():
                tensors = [part.packed.to(self.accelerator.device) for part in lesson.parts]
                found = self.step.in_parts([*zip(tensors, lesson.given, shares, strict=True)], seeds)
        row = {"step": state.step + 1, "epoch": state.position.epoch, "examples": len(batch), "learning_rate": rate}
        self.pending.add(row, self.step.kinds, found, lesson)
        self.state = replace(
            state,
            step=state.step + 1,
            examples=state.examples + len(batch),
            position=batch.after,
            graph_steps=state.graph_steps + replayed,
        )

    def _set_rate(self, size: int) -> float:
        """The rate at the middle of the coming step."""
        total = len(self.stream) * self.settings.epochs
        done = (self.state.examples + size / 2) / total
        if self.settings.max_steps:
            done = max(done, (self.state.step + 0.5) / self.settings.max_steps)
        factor = learning_rate_factor(self.settings, min(done, 1.0), self.state.step + 0.5)
        rate = self.settings.learning_rate * factor
        set_rate(self.optimiser.optimizer, rate)
        return rate

    def _look(self, late: bool = False) -> None:
        """Checks and logs the losses since the last look, or late the last look's; all hear who was asked to stop."""
        self.keeper.look()
        seconds = time.perf_counter() - self.looked[0]
        own, row = (self._asked(), self.keeper.overdue(), seconds), None
        for rows, (asked, overdue, spent) in self.pending.take(self.accelerator, own, late):
            self.stopping |= asked > 0
            self.keeper.agree(overdue > 0)
            if self.accelerator.num_processes > 1:  # from sums, so all look after the same step
                steps = AGREE_SECONDS * self.accelerator.num_processes * len(rows) / max(spent, 1e-9)
                self.look_every = max(1, min(self.settings.log_every, int(steps)))
            if self.accelerator.is_main_process:
                self.curve.write(rows)
                row = rows[-1]
        if row and self.hooks.progress:
            then, before = self.looked
            self.looked = time.perf_counter(), self.state.examples
            pace = (self.state.examples - before) / max(1e-9, self.looked[0] - then)
            losses = {kind: value for kind, value in row.items() if kind not in STEP_FIELDS}
            total = len(self.stream) * self.settings.epochs
            self.hooks.progress(Progress(row["step"], row["epoch"], self.state.examples, total, losses, pace))

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
            save_file(host_copy(self.stage.state_dict()), temporary)
            temporary.replace(self.folder / BEST_FILE)
            self.state = replace(self.state, best_value=value, best_step=self.state.step)

    def _checkpoint(self) -> None:
        """Keeps what a later run goes on from; ends a run of which a process was asked to stop.

        Steps go on while a thread writes; the next checkpoint, the end and a stop wait for it.
        """
        self.keeper.begin()
        self._look()  # a checkpoint holds only steps whose losses were checked
        written = self.cache.start_flush() if self.cache else lambda: None
        if self.accelerator.num_processes > 1:
            written()  # what other ranks wrote must lie there, too, before the main one keeps a checkpoint
        self.stopping |= any(gather_object([self._asked()]))
        self.state = replace(self.state, seconds=time.perf_counter() - self.began)
        if self.accelerator.is_main_process:
            states = training_states(self.accelerator, self.optimiser)
            self.keeper.keep(self.state, self.stage, states, written)
        if self.stopping or self._finished():
            self.keeper.wait()
        self.accelerator.wait_for_everyone()
        if self.stopping:
            raise StoppedError(self.state.step)

    def close(self) -> None:
        """Waits for what is being written."""
        self.keeper.close()
        if self.cache:
            self.cache.close()


def _dropout_seed(seed: int, step: int, part: int) -> int:
    return (seed * 1_000_003 + step) * 4_099 + part  # distinct for up to 4,099 parts of a step
