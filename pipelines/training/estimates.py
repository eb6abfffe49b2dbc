"""What a training command would cost: steps, examples, seconds and bytes of each stage; what is cut of its texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pipelines.training.recipe import QUICK_ROWS, StageRecipe
from pipelines.wording import duration

if TYPE_CHECKING:
    from distill.shards import ShardStream
    from distill.timing import Cost

LONG = 86_400.0  # seconds after which a quicker profile is offered
LONG_ON_CPU = 6 * 3600.0
PADDED_ROWS = 512  # beyond the tokens: more than any embedding table is filled up by
WORTH_A_WARNING = 0.01


@dataclass(frozen=True)
class StageEstimate:
    """One stage's cost.

    Args:
        name: of the stage.
        recipe: how it trains.
        rows: of its data.
        cost: seconds an example.
        taught: examples the teacher has to see: all of them, or an epoch's where its outputs are kept.
        seed: of the order, which decides when short batches come.
        done: an earlier start finished it: nothing is left to do.
    """

    name: str
    recipe: StageRecipe
    rows: int
    cost: Cost
    taught: int = 0
    seed: int = 42
    done: bool = False

    @property
    def steps(self) -> int:
        """Steps of the stage."""
        return self.recipe.steps(self.rows)

    @property
    def examples(self) -> int:
        """Examples it sees."""
        return self.recipe.examples(self.rows, self.seed)

    @property
    def seconds(self) -> float:
        """Its time on this machine; reading, logs and checkpoints cost little beside."""
        if self.done:
            return 0.0
        return self.examples * self.cost.student + min(self.taught, self.examples) * self.cost.teacher

    def quick(self) -> StageEstimate:
        """The same stage with `--profile quick`."""
        recipe = self.recipe.quick(self.name)
        rows = min(self.rows, QUICK_ROWS)
        taught = min(self.taught, rows) if self.taught <= self.rows else rows * recipe.epochs
        return replace(self, recipe=recipe, rows=rows, taught=taught)


@dataclass(frozen=True)
class TrainingEstimate:
    """A command's cost.

    Args:
        stages: in order.
        cache: the cache's decision in words; empty without one.
        cache_bytes: that it will take.
        disk_bytes: checkpoints and models beside it.
        notes: what the user may not have meant.
        facts: of the training rows.
        first_look: what is quicker than the whole; empty for `--profile quick`.
    """

    stages: tuple[StageEstimate, ...]
    cache: str
    cache_bytes: int
    disk_bytes: int
    notes: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    first_look: str = ""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return all(stage.done for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    def warning(self, device: str, profile: str) -> str | None:
        """What to say before a long run; None for one that is not."""
        if not is_long(self.seconds, device, profile):
            return None
        quick = duration(sum(stage.quick().seconds for stage in self.stages))
        first = self.first_look or f"--profile quick takes {quick} ({QUICK_ROWS:,} random rows, fewer epochs)"
        return (
            f"this will take {duration(self.seconds)} on this machine; for a first look {first}; a GPU is much faster"
        )


def is_long(seconds: float, device: str, profile: str = "paper") -> bool:
    """Whether a run is to be announced: it takes hours, and is not the quick one already."""
    return seconds >= (LONG_ON_CPU if device == "cpu" else LONG) and profile != "quick"


def subset_note(wanted: int | None, rows: int) -> tuple[str, ...]:
    """What to say where a subset was asked for that is larger than the whole.

    Args:
        wanted: rows of the subset that the user named; None where he named none, as with a profile.
        rows: that there are.
    """
    if wanted is None or wanted <= rows:
        return ()
    return (f"there are {rows:,} training rows, fewer than the {wanted:,} to learn from: all of them are used",)


def layer_map_note(layers: tuple[int, ...]) -> tuple[str, ...]:
    """What to say of a layer map that does not rise; the paper's all do, but any function of the layers is allowed.

    Args:
        layers: teacher layers g(1) … g(M).
    """
    if all(low < high for low, high in pairwise(layers)):
        return ()
    shown = ",".join(str(layer) for layer in layers)
    return (
        f"--layer-map {shown}: teacher layers usually rise from one student layer to the next, here they do not; it is "
        "taken as it stands",
    )


def idle_embeddings_note(rows: int, tokens: int) -> tuple[str, ...]:
    """What to say of a student with many more embeddings than there are tokens; a few fill a table up to round numbers.

    Args:
        rows: of the student's embedding table.
        tokens: of the teacher's tokenizer.
    """
    if rows - tokens < PADDED_ROWS:
        return ()
    return (
        f"student: {rows:,} embeddings for the teacher's {tokens:,} tokens, {rows - tokens:,} will never be used; set "
        f"vocab_size to {tokens} in its config.json for a smaller student",
    )


def weights_bytes(parameters: int, stages: int = 1) -> int:
    """Disk that training takes: two checkpoints at once (weights and AdamW's two moments), the best and the result.

    Args:
        parameters: of the trained model.
        stages: whose results are kept.
    """
    return 4 * parameters * (2 * 3 + 1 + stages)


@dataclass(frozen=True)
class Told:
    """What there is to say of the rows and models before anything is trained.

    Args:
        facts: worth reading.
        notes: what the user may not have meant.
        truncated: share of the rows that are longer than the model is given, 0 to 1; None where it is not known.
    """

    facts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    truncated: float | None = None


def cut_texts(stream: ShardStream) -> Told:
    """What of the training texts is cut, or empty, by a sample of the rows.

    Args:
        stream: the rows.

    Raises:
        DistillError: a row group that cannot be read.
    """
    from distill.lengths import all_empty, whole_lengths

    lengths, most, rows = whole_lengths(stream), stream.settings.max_length, stream.files.rows
    share = round(float((lengths > most).mean()), 4)
    sample = f"{'a sample of ' if len(lengths) < rows else ''}{len(lengths):,} rows"
    cut = f"texts longer than --max-length {most}: {shown_share(share)} of {sample}"
    if share:
        tokens = int(np.percentile(lengths, 99, method="higher"))
        cut += f"; their ends are not seen, 99% have at most {tokens:,} tokens"
    empty = f"training rows with empty texts: {rows:,} of {rows:,}; there is nothing to learn from them"
    notes = (empty,) if all_empty(stream) else ()
    return Told((), (*notes, cut), share) if share > WORTH_A_WARNING else Told((cut,), notes, share)


def shown_share(share: float) -> str:
    """A share as a percentage that is 0 only where nothing is."""
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"
