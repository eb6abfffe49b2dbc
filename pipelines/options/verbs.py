"""The options of each verb: groups, and what no other verb has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from distill.shape_names import start_of
from pipelines.errors import UserError
from pipelines.methods.names import GENERAL_METHODS, METHODS
from pipelines.options import running, teacher_cache, training
from pipelines.options.data import CorpusChoice, DataChoice, DevChoice, PairedCorpus
from pipelines.options.models import FIRST_LAYERS, RANDOM, STARTS, GeneralStudent, Size, Student
from pipelines.options.of_run import options_of_run
from pipelines.options.option import COUNT, Bounds, Options, Panel, option
from pipelines.options.output import Answers, Folder

A_MODEL = "a folder or a name on the hub."
Format = StrEnum("Format", ["onnx", "hub"])
Value = TypeVar("Value")


def _chosen(options: Options, name: str, own: Value) -> Value:
    """The value of an option: as typed, or as it was set since, else the method's own."""
    value: Value = getattr(options, name)
    return own if value == getattr(type(options), name) and not options.has(name) else value


@dataclass(frozen=True, kw_only=True)
class OnTask(Folder):
    """What the verbs that train on a task have in common."""

    data: DataChoice
    train: str | None = option(
        "Parquet shards to learn from, such as runs/sst2/augmented [the task's own train part].", panel=Panel.DATA
    )
    max_flip: float | None = option(
        "Leave out variants that flip with at least this confidence, by `tinyaug audit --all`.",
        panel=Panel.DATA,
        bounds=Bounds(0, 1),
    )
    originals: bool = False  # of --train: a baseline of `run` learns from these rows alone
    profile: training.Profile = option(
        "quick takes 16,000 random rows (in `run` of 2,000 examples) and fewer epochs (1, 3 and 2).",
        training.Profile.paper,
        panel=Panel.TRAINING,
    )
    reading: training.Reading
    machine: running.Machine


@dataclass(frozen=True, kw_only=True)
class Finetuning(OnTask):
    """Options of `tinyaug finetune` that its job reads as they are."""

    model: str = option(f"Encoder or masked LM to fine-tune: {A_MODEL}", ..., panel=Panel.MODELS)
    revision: str | None = option("Revision of the model on the hub.", panel=Panel.MODELS)


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(Finetuning):
    """Options of `tinyaug finetune`."""

    recipe: training.Recipe


@dataclass(frozen=True, kw_only=True)
class Distillation(Student, OnTask):
    """Options of `tinyaug distill` that its job reads as they are."""

    soft_labels: str | None = option(
        "Column of --train with logits or probabilities to learn, in place of the teacher's. --teacher is then any "
        "encoder that gives the student's shape and vocabulary, or left out where --student-init does.",
        panel=Panel.DATA,
    )
    teacher: str = option("Fine-tuned teacher: a folder of finetune, or any classifier.", "", panel=Panel.MODELS)
    encoder: str | None = option(
        f"Pre-trained encoder whose first layers the student takes in first-layers: {A_MODEL}", panel=Panel.MODELS
    )
    encoder_revision: str | None = option("Revision of the encoder on the hub.", panel=Panel.MODELS)
    method: str = option("What is learnt, and in which stages.", "tinybert", panel=Panel.TRAINING, choices=(*METHODS,))
    glove: str = option(
        "bilstm-soft: GloVe or word2vec file, gensim-downloader name or kumo-6b-50d.",
        "glove-wiki-gigaword-300",
        panel=Panel.MODELS,
    )
    size: Size
    losses: training.LossChoice
    pkd: training.PkdChoice
    cache: teacher_cache.CacheChoice

    @property
    def chosen_start(self) -> str:
        """Where the student starts: as typed, else as its shape and the method have it."""
        own = start_of(self.student, METHODS[self.method].start)
        return _chosen(self, "start", RANDOM if self.size.targets else own)

    @property
    def chosen_map(self) -> str:
        """The layer map: as typed, else as the method has it."""
        return _chosen(self, "layer_map", METHODS[self.method].layer_map)

    @property
    def chosen_teacher(self) -> str:
        """The teacher; beside soft labels the model that the student starts from may give shape and vocabulary.

        Raises:
            UserError: there is neither.
        """
        start, column = self.chosen_start, self.soft_labels
        if self.teacher:
            return self.teacher
        if column is None:
            raise UserError("--teacher: expected a model that was fine-tuned for the task, found none; give one")
        if start == FIRST_LAYERS and self.encoder is not None:
            return self.encoder
        if not METHODS[self.method].encoder:
            raise UserError(
                f"--soft-labels {column}: expected --teacher beside --method {self.method}, found none; give any "
                "encoder: it is never run, but its config.json names the classes where the task does not"
            )
        if start in STARTS:
            raise UserError(
                f"--soft-labels {column}: expected a model for the student's shape and vocabulary, found none; give "
                "--student-init FOLDER, or --teacher with any encoder"
            )
        return start


@dataclass(frozen=True, kw_only=True)
class DistillOptions(Distillation):
    """Options of `tinyaug distill`."""

    intermediate: training.Intermediate
    prediction: training.Prediction


@dataclass(frozen=True, kw_only=True)
class CacheTeacherOptions(DistillOptions):
    """Options of `tinyaug cache-teacher`: those of `distill` that decide what the cache holds."""

    intermediate: training.IntermediateBatch
    prediction: training.Prediction = training.Prediction()
    losses: training.LossChoice = training.LossChoice(heads=training.Heads.mean)  # of no loss: any number of heads goes
    cache: teacher_cache.CacheAhead
    encoder: str | None = None
    encoder_revision: str | None = None
    size: Size = Size()
    soft_labels: str | None = None
    machine: running.Device
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class GeneralDistillation(GeneralStudent, Folder):
    """Options of `tinyaug distill-general` that its job reads as they are."""

    corpus: CorpusChoice
    teacher: str = option(f"Encoder or masked LM, not fine-tuned: {A_MODEL}", ..., panel=Panel.MODELS)
    method: str = option("What is learnt.", "tinybert", panel=Panel.TRAINING, choices=(*GENERAL_METHODS,))
    reading: training.PackedReading
    masked_lm: training.MaskedLmChoice
    cosine: float = option(
        "distilbert: weight of the loss of the angle between last hidden states.",
        1.0,
        "--cosine-weight",
        panel=Panel.TRAINING,
        bounds=training.ZERO,
    )
    losses: training.LossChoice
    cache: teacher_cache.GeneralCacheChoice
    machine: running.GeneralMachine

    @property
    def chosen_start(self) -> str:
        """Where the student starts: as typed, else as the method has it; so are those below."""
        return _chosen(self, "start", GENERAL_METHODS[self.method].start)

    @property
    def chosen_map(self) -> str:
        """The layer map."""
        return _chosen(self, "layer_map", GENERAL_METHODS[self.method].layer_map)

    @property
    def chosen_masked_lm(self) -> training.MaskedLmChoice:
        """The masked-LM loss."""
        choice, method = self.masked_lm, GENERAL_METHODS[self.method]
        weight, soft = _chosen(choice, "weight", method.mlm_weight), _chosen(choice, "soft", method.mlm_soft)
        return replace(choice, weight=weight, soft=soft)


@dataclass(frozen=True, kw_only=True)
class GeneralOptions(GeneralDistillation):
    """Options of `tinyaug distill-general`."""

    recipe: training.GeneralRecipe


@dataclass(frozen=True, kw_only=True)
class Pretraining(Folder):
    """Options of `tinyaug pretrain` that its job reads as they are."""

    corpus: PairedCorpus
    tokenizer: str = option(
        f"BERT whose tokenizer, positions and dropout the model takes, without weights: {A_MODEL}",
        ...,
        panel=Panel.MODELS,
    )
    tokenizer_revision: str | None = option("Revision of that BERT on the hub.", panel=Panel.MODELS)
    student: str = option(
        "tinybert4 (4 x 312), tinybert6 (6 x 768), half, layers:N, 2x144 (the rest as that BERT's), or a config.json.",
        "tinybert4",
        panel=Panel.MODELS,
    )
    reading: training.PackedReading
    machine: running.GeneralMachine


@dataclass(frozen=True, kw_only=True)
class PretrainOptions(Pretraining):
    """Options of `tinyaug pretrain`."""

    recipe: training.PretrainRecipe


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Answers):
    """Options of `tinyaug evaluate`."""

    run: Path | None = option(
        "Folder of run, finetune or distill: task, data and model are those there, of run the student.",
        panel=Panel.MODELS,
        gives=options_of_run,
    )
    data: DataChoice
    model: str = option(f"Model to judge: {A_MODEL}", ..., panel=Panel.MODELS)
    revision: str | None = option("Revision of the model on the hub.", panel=Panel.MODELS)
    max_length: int | None = option(
        "Tokens at which texts are cut, or of a window of SQuAD [as trained, else 128; squad 384].",
        panel=Panel.RUNNING,
        bounds=Bounds(8),
    )
    batch_rows: int = option("Examples of a forward pass.", 64, "--batch-size", panel=Panel.RUNNING, bounds=COUNT)
    machine: running.Device
    json_file: Path | None = option("File for the metrics as JSON.", None, "--json", panel=Panel.OUTPUT)


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """Options of `tinyaug export`."""

    panel = Panel.OUTPUT
    model: str = option(f"Fine-tuned model to export: {A_MODEL}", ..., "model", panel=Panel.MODELS)
    revision: str | None = option("Revision of the model on the hub.", panel=Panel.MODELS)
    data: DevChoice
    max_length: int | None = option(
        "Tokens at which texts are cut [as trained, else 128].", panel=Panel.RUNNING, bounds=Bounds(8)
    )
    format: Format = option("onnx for onnxruntime; hub for transformers.", ...)
    out: str = option("Folder to make.", ...)
    int8: bool = option("Write model_int8.onnx, too, for CPUs.", True, "--int8/--no-int8")
    push_to: str | None = option("Repository on the hub to upload the folder to; a new one is private.")


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(running.Cluster):
    """Options of `tinyaug doctor`."""

    out: Path = option("Where runs would be written.", Path(), panel=Panel.OUTPUT)
    json: str | None = option("File for the findings as JSON, or - for the terminal.", panel=Panel.OUTPUT)
