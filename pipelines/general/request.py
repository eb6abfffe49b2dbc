"""What a user asks of general distillation; plain values, checked when built, nothing heavy imported."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pipelines.distilling.teaching import CacheChoice, LossChoice
from pipelines.errors import UserError
from pipelines.training.recipe import StageRecipe
from pipelines.training.request import Machine, Reading

GENERAL_RECIPE = StageRecipe(epochs=3, batch_rows=256, learning_rate=1e-4)
WARMUP_STEPS = 10_000  # or a tenth of the run, whichever is less
TEXT_COLUMN = "text"
PAIRS = 0.5  # share of pairs where the models know two segments: a student meets both forms of a task's rows
DOCUMENTS, SENTENCES = "documents", "sentences"  # what a row of JSON lines, Parquet or the hub is
RANDOM, PROJECTED = "random", "projected"
EMBEDDINGS = (RANDOM, PROJECTED)
CPU_PART, GPU_PART = 32, 128  # sequences that go through the models at once: their attention scores are kept


@dataclass(frozen=True)
class CorpusChoice:
    """The text to learn from.

    Args:
        place: a file, a folder, or a name on the hub.
        column: text column of JSON lines, Parquet and the hub.
        config: configuration of a data set on the hub.
        revision: of it.
        limit: sequences at most; None for all.
        rows: what a row is: documents, or sentences, a blank one the end of a document.
        pairs: share of the sequences of two sentences or more that become pairs; None for the default, which depends
            on the models.

    Raises:
        UserError: a value out of its range.
    """

    place: str
    column: str = TEXT_COLUMN
    config: str | None = None
    revision: str | None = None
    limit: int | None = None
    rows: str = DOCUMENTS
    pairs: float | None = None

    def __post_init__(self) -> None:
        if self.rows not in (DOCUMENTS, SENTENCES):
            raise UserError(f"--rows: expected {DOCUMENTS} or {SENTENCES}, found {self.rows!r}")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"--limit: expected at least 1, found {self.limit}")
        if self.pairs is not None and not 0 <= self.pairs <= 1:
            raise UserError(f"--pairs: expected a share from 0 to 1, found {self.pairs}")


@dataclass(frozen=True)
class MaskedLmChoice:
    """The masked-LM loss beside the layers'.

    Args:
        weight: of the loss on the tokens that stood there; 0 leaves it out.
        soft: of the loss on the teacher's predictions; 0 leaves it out.
        whole_word: mask all pieces of a word or none.

    Raises:
        UserError: a value out of its range.
    """

    weight: float = 0.0
    soft: float = 0.0
    whole_word: bool = False

    def __post_init__(self) -> None:
        for name, value in (("--mlm-weight", self.weight), ("--mlm-soft", self.soft)):
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"{name}: expected 0 or more, found {value}")
        if self.whole_word and not self.on:
            raise UserError("--whole-word: expected --mlm-weight or --mlm-soft beside it, found neither")

    @property
    def on(self) -> bool:
        """Whether tokens are masked."""
        return self.weight > 0 or self.soft > 0


@dataclass(frozen=True)
class GeneralRequest:
    """A general student to be made.

    Args:
        out: its folder.
        corpus: what it learns from.
        teacher: folder or hub name of an encoder or masked LM that was not fine-tuned.
        student: tinybert4, tinybert6, half, or a config.json.
        start: random, teacher-layers, general, or a folder.
        layer_map: uniform, top, bottom, or numbers.
        embeddings: random, or projected: the principal components of the teacher's.
        recipe: how it trains.
        teacher_revision: on the hub.
        losses: which parts of the loss count.
        masked_lm: the masked-LM loss.
        cache: what is kept of the teacher's outputs.
        reading: length of a sequence, seed.
        machine: what it runs on.
        overwrite: start afresh in a folder of ours.

    Raises:
        UserError: values that contradict each other.
    """

    out: str
    corpus: CorpusChoice
    teacher: str
    student: str = ""
    start: str = RANDOM
    layer_map: str = "uniform"
    embeddings: str = "random"
    recipe: StageRecipe = GENERAL_RECIPE
    teacher_revision: str | None = None
    losses: LossChoice = field(default_factory=LossChoice)
    masked_lm: MaskedLmChoice = field(default_factory=MaskedLmChoice)
    cache: CacheChoice = field(default_factory=CacheChoice)
    reading: Reading = field(default_factory=Reading)
    machine: Machine = field(default_factory=Machine)
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.embeddings not in EMBEDDINGS:
            raise UserError(f"--embedding-init: expected one of {', '.join(EMBEDDINGS)}, found {self.embeddings!r}")
        if self.embeddings != "random" and self.start != RANDOM:
            raise UserError(
                f"--embedding-init {self.embeddings}: expected --student-init random, found {self.start}, which brings "
                "embeddings of its own; leave one of them out"
            )
        self._check_cache()
        if self.losses.temperature != 1 and not self.masked_lm.soft:
            raise UserError("--temperature: expected --mlm-soft beside it, found none; give both or neither")
        if not self.losses.of_layers and not self.masked_lm.on:
            self.losses.refuse_nothing("general", "give --mlm-weight or --mlm-soft")
        self.losses.refuse_idle_heads()
        if not self.recipe.epochs:
            raise UserError("--epochs: expected at least 1, found 0")
        self.machine.check_parts(self.recipe)

    def _check_cache(self) -> None:
        """Refuses a cache of nothing, and options of one that will not be kept."""
        mode, named = self.cache.mode, self.cache.named
        if mode == "logits":
            raise UserError("--cache logits: expected auto, full or off, for there are no logits to keep here")
        if mode == "full" and not self.losses.of_layers:
            raise UserError(
                "--cache full: expected a loss of the layers with a weight above 0, for their states are what is kept, "
                "found none in --layer-weights; raise one, or leave --cache out"
            )
        if mode == "full" and not self.losses.kept_of_layers(self.masked_lm.soft > 0).of_layers:
            raise UserError(
                "--cache full: expected attention or hidden among --losses, for the cache keeps attention scores and "
                f"hidden states, found {','.join(self.losses.kinds)}; add one, or leave --cache out"
            )
        if mode == "auto" and self.masked_lm.on and named:
            raise UserError(
                f"{named[0]}: expected --cache full beside it, found auto, which keeps no cache where tokens are "
                "masked: it would have the same ones masked in every epoch; add --cache full, or leave "
                f"{' and '.join(named)} out"
            )


def default_accumulation(batch_rows: int, device: str, processes: int) -> int:
    """Parts a step is cut into where the user says nothing, so that its attention scores fit the memory."""
    part = CPU_PART if device == "cpu" else GPU_PART
    return max(1, math.ceil(batch_rows / (processes * part)))
