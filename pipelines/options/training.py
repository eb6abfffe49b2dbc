"""Options of training: how a stage trains, how texts are read, what is learnt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pipelines.errors import UserError
from pipelines.options.data import comma_separated
from pipelines.options.option import COUNT, RATE, Bounds, Options, Panel, flag, option

if TYPE_CHECKING:
    from distill.cache_format import CacheContent

Heads = StrEnum("Heads", ["none", "mean"])
Profile = StrEnum("Profile", ["paper", "quick"])
PkdLayers = StrEnum("PkdLayers", ["skip", "last"])
LOSSES = ("embedding", "attention", "hidden")
ALL = ",".join(LOSSES)
ZERO = Bounds(0)
TEMPERATURE = Bounds(0, 10**7, inside=True)  # its square is a weight, and far beyond it no number


@dataclass(frozen=True, kw_only=True)
class Recipe(Options):
    """What the user sets of a stage's recipe; None leaves the recipe's own value, which the help names."""

    panel = Panel.TRAINING
    words = {"stage": "", "of": "", "epochs": "3", "batch": "32", "rate": "2e-5"}
    epochs: int | None = option("Epochs{of} [{epochs}].", None, "--epochs{stage}", bounds=COUNT)
    batch_rows: int | None = option("Examples of a step{of} [{batch}].", None, "--batch-size{stage}", bounds=COUNT)
    learning_rate: float | None = option("Peak learning rate{of} [{rate}].", None, "--lr{stage}", bounds=RATE)
    max_steps: int | None = option("Stop each stage after as many steps, and end its schedule there.", bounds=COUNT)


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe(Recipe):
    """How the teacher of a run is fine-tuned."""

    words = {**Recipe.words, "stage": "-finetune", "of": " of fine-tuning the teacher"}


METHODS_OWN = {"epochs": "the method's; tinybert 3", "rate": "the method's; tinybert 3e-5"}


@dataclass(frozen=True, kw_only=True)
class Prediction(Recipe):
    """How the second stage of a distillation trains."""

    words = {**Recipe.words, "stage": "-prediction", "of": " of the prediction stage", **METHODS_OWN}
    epochs: int | None = option("Epochs{of}; 0 leaves it out [{epochs}].", None, "--epochs{stage}", bounds=ZERO)


@dataclass(frozen=True, kw_only=True)
class Intermediate(Prediction):
    """How the first stage of a distillation trains."""

    words = {
        "stage": "-intermediate",
        "of": " of the intermediate stage",
        "epochs": "10; cola 50; mnli, qqp, qnli 5",
        "batch": "32; mnli, qqp, qnli 256",
        "rate": "5e-5",
    }


@dataclass(frozen=True, kw_only=True)
class IntermediateBatch(Intermediate):
    """What a cache that is made ahead has to know of the stage that reads it."""

    epochs: int | None = None
    learning_rate: float | None = None
    max_steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class GeneralRecipe(Recipe):
    """How general distillation trains."""

    words = {**Recipe.words, "batch": "256", "rate": "1e-4; distilbert 5e-4"}


@dataclass(frozen=True, kw_only=True)
class PretrainRecipe(Recipe):
    """How pre-training trains."""

    words = {**Recipe.words, "epochs": "40", "batch": "256", "rate": "1e-4"}


@dataclass(frozen=True, kw_only=True)
class CorpusRecipe(Recipe):
    """How the stage of a run trains that reads a corpus."""

    words = {
        "stage": "-corpus",
        "of": " of the stage over --corpus",
        "epochs": "3; bert-small 40",
        "batch": "256",
        "rate": "1e-4; distilbert 5e-4",
    }


@dataclass(frozen=True, kw_only=True)
class Reading(Options):
    """How texts become examples.

    Args:
        max_length: tokens at which texts are cut.
        train_rows: size of a random subset of the training rows; None for all.
        seed: of order, dropout, drawn weights and the subset.

    Raises:
        UserError: a value out of its range.
    """

    panel = Panel.TRAINING
    max_length: int = option(
        "Tokens at which texts are cut; of SQuAD, of a window (384 where not given).", 128, bounds=Bounds(8)
    )
    train_rows: int | None = option("Learn from a random subset of so many rows.", panel=Panel.DATA, bounds=COUNT)
    seed: int = option("Seed of order, dropout, drawn weights and subsets.", 42, bounds=Bounds(0, 2**31 - 1))


@dataclass(frozen=True, kw_only=True)
class PackedReading(Reading):
    """How a corpus becomes sequences."""

    max_length: int = option("Tokens of a packed sequence at most.", 128, bounds=Bounds(8))
    train_rows: int | None = None


def loss_kinds(text: str) -> tuple[str, ...]:
    """The losses named in a text, in the order of LOSSES.

    Raises:
        ValueError: saying what is expected.
    """
    named = {part for part in comma_separated(text) if part}
    if not named or not named <= {*LOSSES}:
        raise ValueError(f"some of {ALL}")
    return tuple(kind for kind in LOSSES if kind in named)


def numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas.

    Raises:
        ValueError: saying what is expected.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("numbers separated by commas") from None


@dataclass(frozen=True, kw_only=True)
class LossChoice(Options):
    """Which parts of Eq. 11 count.

    Args:
        kinds: of the intermediate stage: embedding, attention, hidden.
        temperature: of the prediction loss; None for the method's own.
        layer_weights: λ_0 … λ_{M+1}; None for 1 each.
        heads: `none`, or `mean`: compare attention by its mean over heads.

    Raises:
        UserError: a value out of its range.
    """

    panel = Panel.TRAINING
    kinds: tuple[str, ...] = option(
        "Losses of the layers: some of embedding,attention,hidden.", LOSSES, "--losses", read=loss_kinds, shown=ALL
    )
    temperature: float | None = option(
        "Temperature of losses on predictions [1; bert-pkd 10, distilbert 2].", bounds=TEMPERATURE
    )
    layer_weights: tuple[float, ...] | None = option(
        "λ of embedding, each layer and prediction (distill-general has none), by commas [1 each].", read=numbers
    )
    heads: Heads = option("mean compares attention by its mean over heads where counts differ.", Heads.none)

    @property
    def of_layers(self) -> bool:
        """Whether anything of the layers is learnt: a loss of theirs has a weight above 0."""
        if self.layer_weights is None or len(self.layer_weights) < 3:  # fewer than any student has: refused elsewhere
            return True
        first, *layers, _ = self.layer_weights
        return bool((first and "embedding" in self.kinds) or (any(layers) and set(self.kinds) != {"embedding"}))

    @property
    def weight_of_predictions(self) -> float:
        """The last weight."""
        return 1.0 if self.layer_weights is None else self.layer_weights[-1]

    def kept_of_layers(self, soft: bool = False) -> CacheContent:
        """What a cache holds that keeps all that these losses use of the teacher's layers, and no more.

        Args:
            soft: whether a soft masked-LM loss reads the last layer's hidden states, too.
        """
        from distill.cache_format import CacheContent

        return CacheContent.of(hidden="hidden" in self.kinds or soft, scores="attention" in self.kinds)

    def refuse_nothing(self, stage: str, remedy: str) -> None:
        """Refuses a stage whose loss is 0 whatever the student does.

        Args:
            stage: that learns nothing.
            remedy: another way out.

        Raises:
            UserError: always.
        """
        weights = ",".join(f"{weight:g}" for weight in self.layer_weights or ())
        raise UserError(
            f"{flag(LossChoice, 'layer_weights')} {weights}: expected a weight above 0 of a loss that the {stage} "
            f"stage has, found none: nothing would be learnt; raise one, or {remedy}"
        )


@dataclass(frozen=True, kw_only=True)
class PkdChoice(Options):
    """The weights of BERT-PKD's losses, and the teacher layers of its patience loss.

    Args:
        alpha: share of the teacher's predictions; the labels have the rest.
        beta: weight of the patience loss; 0 leaves it out.
        layers: every k-th layer, or the last ones.

    Raises:
        UserError: a value out of its range.
    """

    panel = Panel.TRAINING
    alpha: float = option("bert-pkd: share of the teacher's predictions beside labels.", 0.7, bounds=Bounds(0, 1))
    beta: float = option("bert-pkd: weight of the loss of [CLS] states.", 500.0, bounds=ZERO)
    layers: PkdLayers = option("bert-pkd: teacher layers, evenly spaced or the last.", PkdLayers.skip, "--pkd-layers")


@dataclass(frozen=True, kw_only=True)
class MaskedLmChoice(Options):
    """The masked-LM loss beside the layers'.

    Args:
        weight: of the loss on the tokens that stood there; 0 leaves it out.
        soft: of the loss on the teacher's predictions; 0 leaves it out.
        whole_word: mask all pieces of a word or none.

    Raises:
        UserError: a value out of its range.
    """

    panel = Panel.TRAINING
    weight: float = option(
        "Weight of a masked-LM loss; above 0 a masked LM results [0; distilbert 2].", 0.0, "--mlm-weight", bounds=ZERO
    )
    soft: float = option(
        "Weight of a loss on the teacher's masked-LM predictions [0; distilbert 5, at all tokens].",
        0.0,
        "--mlm-soft",
        bounds=ZERO,
    )
    whole_word: bool = option("Mask all pieces of a word or none.", False)

    @property
    def on(self) -> bool:
        """Whether tokens are masked."""
        return self.weight > 0 or self.soft > 0
