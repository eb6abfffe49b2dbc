"""Options of models: the masked LM and the vectors of an augmentation, the student of a distillation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from distill.shape_names import StudentStart
from pipelines.options.option import Bounds, Options, Panel, option

Embeddings = StrEnum("Embeddings", ["random", "projected"])
PROJECTED = Embeddings.projected
POSITIVE = Bounds(0, inside=True)
GENERAL, TEACHER_LAYERS, FIRST_LAYERS, RANDOM = STARTS = (*map(str, StudentStart),)


@dataclass(frozen=True, kw_only=True)
class MaskedLm(Options):
    """What proposes words."""

    panel = Panel.MODELS
    mlm: str = option("Masked LM: a folder or a name on the hub.", "bert-base-uncased")
    revision: str | None = option("Revision of the masked LM on the hub.")
    glove: str = option(
        "GloVe or word2vec file, gensim-downloader name, kumo-6b-50d or none.", "glove-wiki-gigaword-300"
    )


@dataclass(frozen=True, kw_only=True)
class Student(Options):
    """The student's shape and first weights, and which layers of the teacher it learns."""

    panel = Panel.MODELS
    teacher_revision: str | None = option("Revision of the teacher on the hub.")
    student: str = option(
        "tinybert4 (4 x 312), tinybert6 (6 x 768), half (the teacher's shape, half its layers), layers:N (N of "
        "them), layers x width such as 2x144 (the rest as the teacher's), or a config.json [the method's; tinybert "
        "tinybert4; that of a folder of --student-init].",
        "",
    )
    start: str = option(
        "general (published TinyBERT), teacher-layers (equal widths), first-layers (of an encoder), random, or a "
        "folder [of 2x144 and the like random; the method's; tinybert general, of half and layers:N teacher-layers].",
        "general",
        "--student-init",
    )
    layer_map: str = option(
        "uniform, top, bottom, distilbert (1,3,5,8,10,12 for 6 of 12, else uniform), or teacher layers such as "
        "3,6,9,12 [uniform; distilbert that map].",
        "uniform",
    )
    encoder: str | None = None
    encoder_revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class Size(Options):
    """How large a student may be.

    Args:
        ms: milliseconds a text.
        mb: megabytes of its weights in float32.
        share: of the word pieces that no training text has that it keeps; None leaves its vocabulary whole.

    Raises:
        UserError: a value out of its range.
    """

    panel = Panel.MODELS
    ms: float | None = option(
        "Take the largest student that reads a text in at most this many milliseconds on this CPU; no --student then.",
        None,
        "--target-ms",
        bounds=POSITIVE,
    )
    mb: float | None = option(
        "Take the largest student whose weights are at most this many megabytes (float32, whole vocabulary).",
        None,
        "--target-mb",
        bounds=POSITIVE,
    )
    share: float | None = option(
        "Trim the student's vocabulary when it is trained: to the pieces of its training texts and this share of the "
        "others.",
        None,
        "--trim-vocabulary",
        bounds=Bounds(0, 1),
    )

    @property
    def asked(self) -> dict[str, float]:
        """What was asked for, by field."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def targets(self) -> dict[str, float]:
        """Targets that a shape has to meet."""
        return {name: value for name, value in self.asked.items() if name != "share"}

    @property
    def shown(self) -> str:
        """The targets in words."""
        return " and ".join(f"{value:g} {'MB' if name == 'mb' else name}" for name, value in self.targets.items())

    def allows(self, ms: float, mb: float) -> bool:
        """Whether a student meets the targets."""
        return ms <= (self.ms or ms) and mb <= (self.mb or mb)


def general_start(text: str) -> str:
    """A start without an encoder of its own, of which the teacher would be one.

    Raises:
        ValueError: saying what is expected.
    """
    if text == FIRST_LAYERS:
        raise ValueError(f"{GENERAL}, {TEACHER_LAYERS} (with --layer-map bottom for the first), {RANDOM} or a folder")
    return text


@dataclass(frozen=True, kw_only=True)
class GeneralStudent(Student):
    """A student that learns from a corpus."""

    start: str = option(
        "general (published TinyBERT), teacher-layers (equal widths), random, or a folder [random; distilbert "
        "teacher-layers].",
        "random",
        "--student-init",
        read=general_start,
    )
    embeddings: Embeddings = option(
        "projected are the principal components of the teacher's embeddings.", Embeddings.random, "--embedding-init"
    )
