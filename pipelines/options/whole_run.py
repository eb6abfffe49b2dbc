"""The options of `tinyaug run`: those of its stages, where what several of them have is typed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.demo import demo_run_defaults
from pipelines.options import running, training
from pipelines.options.augmenting import AugmentOptions
from pipelines.options.data import CorpusInRun
from pipelines.options.option import Options, Panel, option
from pipelines.options.output import Answers
from pipelines.options.verbs import DistillOptions, FinetuneOptions


@dataclass(frozen=True, kw_only=True)
class AugmentInRun(AugmentOptions):
    """Options of the first stage of a run."""

    compute: running.ComputeInRun


@dataclass(frozen=True, kw_only=True)
class FinetuneInRun(FinetuneOptions):
    """Options of the second stage of a run, which says itself where the model comes from and goes to."""

    out: str = ""
    train: str | None = None
    max_flip: float | None = None
    model: str = ""
    revision: str | None = None
    recipe: training.TeacherRecipe
    machine: running.MachineInRun


@dataclass(frozen=True, kw_only=True)
class DistillInRun(DistillOptions):
    """Options of the third stage of a run."""

    out: str = ""
    train: str | None = None
    teacher: str = ""
    teacher_revision: str | None = None
    encoder: str | None = None
    encoder_revision: str | None = None
    glove: str = ""
    soft_labels: str | None = None
    max_flip: float | None = None
    machine: running.MachineInRun


@dataclass(frozen=True, kw_only=True)
class CorpusStageInRun(Options):
    """Options of the stage of a run that reads a corpus; what else it takes other stages have."""

    corpus: CorpusInRun
    recipe: training.CorpusRecipe


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Options of `tinyaug run`: those of its stages; what several of them have is typed once."""

    augment: AugmentInRun
    general: CorpusStageInRun
    finetune: FinetuneInRun
    distill: DistillInRun
    teacher: str | None = option("Fine-tuned teacher, in place of fine-tuning one.", panel=Panel.MODELS)
    teacher_model: str | None = option("Encoder to fine-tune as the teacher [that of --mlm].", panel=Panel.MODELS)
    teacher_revision: str | None = option("Revision of the teacher on the hub.", panel=Panel.MODELS)
    augment_teacher: bool = option("Fine-tune the teacher on the augmented rows, too.", False, panel=Panel.TRAINING)
    baseline: bool = option(
        "Compare the student with one taught without augmentation and one fine-tuned on labels alone.",
        False,
        panel=Panel.TRAINING,
    )
    answers: Answers

    def defaults(self) -> dict[str, Any]:
        """With --demo the embedded pack and its recipe."""
        return demo_run_defaults(self) if self.augment.rows.demo else {}
