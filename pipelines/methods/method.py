"""The training contract: a method is a list of stages, and one driver runs any method.

There are four parts; stages and methods know nothing of jobs and the driver:

1. A **stage** (`MethodStage`) says what is trained on what: its objective, its recipe, the rows it reads, what a cache
   has to keep of the teacher for it, and whether a dev part selects its best epoch. Stages train the same student one
   after another; each starts from the weights that the one before left.
2. A **method** (`Method`) is a list of stages, and the options of its own that run.json records. Each is a function
   in a file of this folder, from what the user asked for to a `Method`.
3. A **job** (`pipelines/training/job.py`) is what a verb brings: it finds and checks data and models, says what
   run.json records of them, opens streams of rows, loads the models, and describes the result.
4. The **driver** (`pipelines/training/driver.py`) runs a job in two modes. `plan` measures every stage for a few
   seconds and writes nothing; `run` writes run.json, decides on the teacher cache, trains the stages with checkpoints,
   skips those that are done, and publishes the model. It knows no method by name.

To add a method: write its losses as a stage of `distill` (`distill/objectives.py`), write the function that lists its
stages, and enter it in `pipelines/methods/names.py`. Dry run, resumes, status, card and metrics follow. Options of its
own are fields of a group in `pipelines/options/training.py`; `pipelines/options/effects.py` says that they need it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distill.cache_format import CacheContent
    from distill.objectives import Stage
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.general.request import GeneralRequest
    from pipelines.training.recipe import StageRecipe
    from pipelines.training.request import DistillRequest

Objective = Callable[["Student", "Teacher"], "Stage"]


class Rows(StrEnum):
    """Which rows a stage reads."""

    AUGMENTED = "augmented"  # the shards of --train; without them the task's own train part
    ORIGINAL = "original"  # the task's own train part
    CORPUS = "corpus"  # sequences packed from plain text


@dataclass(frozen=True)
class MethodStage:
    """One stage of a method.

    Args:
        name: in recipes, plans, metrics and messages.
        objective: builds what is trained, with its losses, from student and teacher; a method without a teacher takes
            the student alone.
        recipe: epochs (0 leaves the stage out), batch size, learning rate.
        rows: that it reads.
        labelled: whether it reads their labels.
        selects: whether the weights of the epoch that is best on dev are kept, else those of the last step.
        of_logits: whether it learns at most the teacher's logits.
        kept: what a cache has to keep of the teacher so that this stage need not run it again; None without a teacher.
        uncached: why `--cache auto` keeps nothing for this stage; empty where it may.
        fixed: what a cache keeps from changing in a stage, which `--cache full` asks for; empty for nothing.
        folder: of its checkpoints and losses; by default its name.
        warmup_steps: in which the rate rises at most; None for a tenth of the stage.
    """

    name: str
    objective: Objective
    recipe: StageRecipe
    rows: Rows = Rows.AUGMENTED
    labelled: bool = False
    selects: bool = False
    of_logits: bool = False
    kept: CacheContent | None = None
    uncached: str = ""
    fixed: str = ""
    folder: str = ""
    warmup_steps: int | None = None

    def __post_init__(self) -> None:
        if not self.folder:
            object.__setattr__(self, "folder", self.name)

    @property
    def reads(self) -> tuple[Rows, bool]:
        """What stages share that read the same data: the rows, and whether their labels."""
        return self.rows, self.labelled

    @property
    def of_layers(self) -> bool:
        """Whether it learns from the teacher's layers in a way that a cache can serve."""
        return self.kept is not None and self.kept.of_layers


@dataclass(frozen=True)
class Method:
    """A list of stages.

    Args:
        stages: in order, those that are left out included.
        settings: the method's own options, as run.json records them.
        tags: of the model card.
        facts: of the model card: name -> value.
        projections: whether the student's projections to its teacher's widths are trained, and saved beside it.
        layers: the teacher layers that the student's learn from, by the numbers of layers of both; None for those of
            --layer-map.
        equal_widths: whether student and teacher must be as wide as each other.
    """

    stages: tuple[MethodStage, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    projections: bool = True
    layers: Callable[[int, int], tuple[int, ...]] | None = None
    equal_widths: bool = False

    @property
    def trained(self) -> tuple[MethodStage, ...]:
        """The stages that are not left out."""
        return tuple(stage for stage in self.stages if stage.recipe.epochs)

    @property
    def of_logits(self) -> bool:
        """Whether at most its logits are learnt of the teacher, so that any classifier may teach."""
        return all(stage.of_logits for stage in self.trained)


@dataclass(frozen=True)
class TaskMethod:
    """A method of `distill` and `run`, as it is known before anything is asked of it.

    Args:
        build: lists its stages for what the user asked for.
        recipes: stage -> recipe by the task's name; of `intermediate` and `prediction` those that it has.
        layered: the one of them that learns from the teacher's layers.
        start: where its student starts where the user says nothing.
        student: the student's shape where the user says nothing; empty for that of the start.
        layer_map: --layer-map where the user says nothing.
        augmented: whether `run` augments for it.
        shards: whether --train may name rows for it, in place of the task's own.
        taught: whether its student learns from a teacher's outputs.
        encoder: whether its student is one, else an LSTM over word vectors.
        own: groups of options that no other method has.
        corpus: the verb by which its student may be made from a corpus first; empty for none.
    """

    build: Callable[[DistillRequest], Method]
    recipes: Callable[[str], dict[str, StageRecipe]]
    layered: str = "intermediate"
    start: str = "general"
    student: str = ""
    layer_map: str = "uniform"
    augmented: bool = True
    shards: bool = True
    taught: bool = True
    encoder: bool = True
    own: tuple[str, ...] = ()
    corpus: str = ""


@dataclass(frozen=True)
class GeneralMethod:
    """A method of `distill-general`, as it is known before anything is asked of it.

    Args:
        build: lists its one stage for what the user asked for.
        recipe: of that stage.
        start, student, layer_map: as those of a `TaskMethod`.
        mlm_weight: weight of the masked-LM loss where the user says nothing.
        mlm_soft: that of the loss on the teacher's masked-LM predictions.
        own: options, or groups of them, that no other method has.
        weight_in_memory: memory of a sequence, in that of TinyBERT's losses.
    """

    build: Callable[[GeneralRequest], Method]
    recipe: StageRecipe
    start: str = "random"
    student: str = ""
    layer_map: str = "uniform"
    mlm_weight: float = 0.0
    mlm_soft: float = 0.0
    own: tuple[str, ...] = ()
    weight_in_memory: int = 1
