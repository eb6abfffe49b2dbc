"""Runs one stage of `distill.training.train` with this project's logs, progress and exit codes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distill.errors import DistillError, NotFiniteError, StoppedError
from pipelines.errors import JobError
from pipelines.machine.memory import keep_freed_memory
from pipelines.run_folder.storage import unwritten
from pipelines.training.stage_progress import steps_done
from pipelines.training.stopping import stops_noted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from transformers import PreTrainedModel

    from distill.checkpoints import RunState
    from distill.metrics import Metric
    from distill.objectives import Stage
    from distill.precision import Precision
    from distill.shards import ShardStream
    from distill.targets import Targets
    from distill.training_settings import Progress, TrainSettings
    from pipelines.methods.method import MethodStage
    from pipelines.options.running import Machine
    from pipelines.reporting import Reporter
    from pipelines.squad.judging import AnswerJudge
    from pipelines.training.recipe import StageRecipe


@dataclass(frozen=True)
class Dev:
    """What an epoch is judged on.

    Args:
        stream: the labelled dev part.
        metrics: of the task; the first one selects the best epoch.
        answers: judges answers in texts in place of labels; None for labels.
    """

    stream: ShardStream
    metrics: tuple[Metric, ...]
    answers: AnswerJudge | None = None

    def scores(self, model: PreTrainedModel, precision: Precision, asked: Callable[[], bool]) -> dict[str, float]:
        """The metrics of a model.

        Args:
            model: with its task head.
            precision: of matrix products.
            asked: whether to stop.
        """
        from distill.evaluation import evaluate

        if self.answers is not None:
            found = self.answers.judge(model, self.stream, precision, asked).scores
            return {str(name): found[name] for name in self.metrics}
        return evaluate(model, self.stream, self.metrics, precision, asked)


def train_settings(recipe: StageRecipe, machine: Machine, seed: int) -> TrainSettings:
    """The loop's settings for a recipe."""
    from distill.teacher import Precision
    from distill.training_settings import TrainSettings

    return TrainSettings(
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        max_steps=recipe.max_steps,
        accumulation=machine.accumulation or 1,
        precision=Precision(machine.precision),
        seed=seed,
        checkpoint_every=machine.checkpoint_every,
        cpu=machine.device == "cpu",
    )


def train_stage(
    stage: MethodStage,
    objective: Stage,
    stream: ShardStream,
    targets: Targets | None,
    folder: Path,
    settings: TrainSettings,
    dev: Dev | None,
    reporter: Reporter,
) -> RunState:
    """Trains a stage to its end, going on from its last checkpoint.

    Args:
        stage: of the method; it is known by its name.
        objective: what to train, changed in place; ends with its best epoch's weights where there is a dev part.
        stream: its data.
        targets: the teacher's outputs, or None.
        folder: for checkpoints, losses.csv, dev.csv and tensorboard/.
        settings: of the loop.
        dev: what an epoch is judged on; None keeps the last state.
        reporter: is told of progress.

    Returns:
        The final state.

    Raises:
        JobError: a loss that is not finite, unreadable data, a full disk; the last checkpoint is kept.
        StoppedError: a signal came, and its handler let the stop pass; a checkpoint of the last step is kept.
    """
    from distill.training import train
    from distill.training_settings import Hooks

    reporter.stage_started(stage.name, stage.recipe.examples(len(stream), settings.seed))
    if settings.cpu:
        keep_freed_memory()
    with stops_noted("step, with a checkpoint") as asked:
        watcher = _Watcher(folder, stage.name, settings.precision, dev, reporter, asked, _tensorboard(folder))
        evaluate, select = (watcher.evaluate, str(dev.metrics[0])) if dev else (None, None)
        hooks = Hooks(watcher.progress, evaluate, select, asked, watcher.resumed)
        try:
            return train(objective, stream, targets, folder, settings, hooks)
        except StoppedError as stop:
            reporter.message(f"{stage.name}: stopped after step {stop.step:,}, of which a checkpoint is kept")
            raise
        except NotFiniteError as error:
            raise JobError(f"{stage.name} stage: {error} Give another --out, or --overwrite.") from error
        except DistillError as error:
            raise JobError(f"{stage.name} stage: {error}") from error
        except OSError as error:
            raise unwritten(f"{stage.name} stage: {folder}", error) from error
        finally:
            stream.close()
            if watcher.board is not None:
                watcher.board.close()
            reporter.ended(stage.name)


@dataclass
class _Watcher:
    """Passes progress on and keeps dev.csv and, where it is installed, TensorBoard's logs."""

    folder: Path
    name: str
    precision: Precision
    dev: Dev | None
    reporter: Reporter
    asked: Callable[[], bool]
    board: Any
    step: int = 0

    def resumed(self, state: RunState) -> None:
        """Called by the main process where a run goes on from a checkpoint."""
        self.step = state.step
        self.reporter.message(f"going on from {steps_done(state.step, state.steps)} (stage {self.name})")

    def progress(self, now: Progress) -> None:
        """Called every few steps by the main process."""
        self.step = now.step
        self.reporter.advanced(now)
        self._log({"examples_per_s": now.examples_per_s, **{f"loss/{kind}": one for kind, one in now.losses.items()}})

    def evaluate(self, stage: Stage) -> dict[str, float]:
        """Called at every epoch's end by the main process."""
        if self.dev is None:
            return {}
        found = self.dev.scores(stage.model, self.precision, self.asked)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        self.reporter.message(f"{stage.name}, step {self.step:,}: dev {shown}")
        _add_row(self.folder / "dev.csv", {"step": self.step, **found})
        self._log({f"dev/{name}": value for name, value in found.items()})
        return found

    def _log(self, values: dict[str, float]) -> None:
        for name, value in values.items() if self.board is not None else ():
            self.board.add_scalar(name, value, self.step)


def _add_row(path: Path, row: dict[str, float]) -> None:
    """Adds an epoch; rows of a run that was killed after its checkpoint are written again, not twice."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="") as file:
            rows = [old for old in csv.DictReader(file) if int(old["step"]) < row["step"]]
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
    temporary.replace(path)


def _tensorboard(folder: Path) -> Any:
    """A writer where TensorBoard is installed; losses.csv is there in any case."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
