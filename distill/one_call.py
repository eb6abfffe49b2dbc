"""One call from a teacher and texts to a student's folder: TinyBERT's two stages (sections 3 and 4)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
from transformers import AutoConfig, AutoTokenizer

from distill.accelerators import own_device
from distill.checks import (
    check_equal_embeddings,
    check_length,
    check_vocabularies,
    check_vocabulary_size,
    is_unnamed,
    label_names,
)
from distill.config_checks import reason
from distill.errors import DistillError
from distill.evaluation import evaluate
from distill.given_rows import chosen_columns, given_table, numbered_labels, written
from distill.layer_maps import resolve_layer_map
from distill.losses import LossSettings
from distill.metrics import Metric
from distill.objectives import IntermediateStage, PredictionStage
from distill.reading import Columns, open_shards
from distill.saving import save_model
from distill.shape_names import HALF, RANDOM_RATE, StudentStart, start_of
from distill.shapes import student_config
from distill.shards import ShardStream, StreamSettings
from distill.student import Student, build_student
from distill.targets import Targets
from distill.teacher import Teacher
from distill.tokens import tokenizer_json
from distill.training import train
from distill.training_settings import Hooks, Progress, TrainSettings
from distill.weights import head_class, read_model

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from distill.metrics import Scores
    from distill.objectives import Stage

    Layers = tuple[int, ...]
    Kind = type[IntermediateStage] | type[PredictionStage]

logger = logging.getLogger("tinyaug")
INTERMEDIATE = TrainSettings(epochs=10, learning_rate=5e-5)
PREDICTION = TrainSettings(epochs=3, learning_rate=3e-5)


@dataclass(frozen=True)
class DistillSettings:
    """How `distill_model` trains; the defaults are the paper's (section 4.2), for a random start with larger rates.

    Attributes:
        start: where a student that is named by its shape starts, as in `build_student`; None for teacher-layers with
            the shapes half and layers:N, random with LxW, and general with others.
        layer_map: which layers of the teacher are learnt from, as in `resolve_layer_map`.
        losses: of both stages.
        reading: length, batches and their order.
        intermediate: of the stage that learns the layers (Eqs. 7-9); None leaves it out. By default 10 epochs at a
            learning rate of 5e-5, or 1e-3 from a random start.
        prediction: of the stage that learns the predictions (Eq. 10); None leaves it out. By default 3 epochs at 3e-5,
            or 1e-3 from a random start.
    """

    start: str | None = None
    layer_map: str = "uniform"
    losses: LossSettings = field(default_factory=LossSettings)
    reading: StreamSettings = field(default_factory=lambda: StreamSettings(workers=0))
    intermediate: TrainSettings | None = INTERMEDIATE
    prediction: TrainSettings | None = PREDICTION


@dataclass(frozen=True)
class Distilled:
    """What `distill_model` made.

    Attributes:
        folder: an ordinary folder of transformers.
        model: the student, in eval mode.
        layer_map: the teacher's layers that its own learnt from.
        dev: "teacher" and "student" -> metric -> value; empty without dev rows.
    """

    folder: Path
    model: PreTrainedModel
    layer_map: tuple[int, ...]
    dev: Scores


def distill_model(
    data: Any,
    teacher: str | Path,
    out: str | Path,
    student: str | Path = HALF,
    text: str | tuple[str, str] = "text",
    label: str = "label",
    dev: Any = None,
    settings: DistillSettings | None = None,
) -> Distilled:
    """Teaches a student a classifier, or a model of one score: first its layers, then its predictions.

    Killed, the same call goes on where it stood; done, it comes back at once.

    Args:
        data: what is learnt from, without labels: Parquet (a file, a folder or a URI), such as augmented rows, or an
            Arrow table, a data frame, a data set of `datasets` or a dict of lists.
        teacher: fine-tuned: a folder, or a name on the hub.
        out: the student's folder; `stages/` in it has checkpoints and losses.
        student: tinybert4, tinybert6, half, layers:N, layers x width such as 2x144 (the rest as the teacher's; from
            random weights), a config.json, or an encoder to go on from: a folder, or a name on the hub with its owner.
        text: column of the texts, or of pairs the two columns.
        label: column of the labels of `dev`: names or numbers of the teacher's classes, or scores.
        dev: labelled rows, as `data`; the best epoch of the predictions is kept by them, else the last.
        settings: how it trains.

    Raises:
        DistillError: data, models or settings that cannot be used or do not fit.
    """
    settings, out, texts = settings or DistillSettings(), Path(out), (text,) if isinstance(text, str) else tuple(text)
    start = _start(str(student), settings)
    wanted = _stages(settings, start)
    if (out / "config.json").exists() and not (out / "stages").exists():
        raise DistillError(f"expected no model in {out}, or that of an earlier call; found another. Name a folder.")
    model, tokenizer = _teacher(str(teacher), settings.reading.max_length)
    made, layers = _student(str(student), start, settings, model, tokenizer)
    outputs = int(model.config.num_labels or 1)
    classes, given = outputs if outputs > 1 else None, {"train": data}
    if not isinstance(data, (str, Path)):
        given["train"] = chosen_columns(given_table(data, "data"), texts, "data")
    if dev is not None:
        given["dev"] = chosen_columns(given_table(dev, "dev"), (*texts, label), "dev")
        names = getattr(getattr(dev, "features", {}).get(label), "names", None)
        named = names if names and is_unnamed(model.config) else label_names(model.config)
        given["dev"] = numbered_labels(given["dev"], label, named, names)

    columns = {"train": Columns(texts), "dev": Columns(texts, label, classes)}
    streams = {
        name: _stream(rows, columns[name], out / "stages" / "data" / f"{name}.parquet", tokenizer, settings.reading)
        for name, rows in given.items()
    }
    judge = _Judge(streams.get("dev"), (Metric.SPEARMAN, Metric.PEARSON) if classes is None else (Metric.ACCURACY,))
    cast("torch.nn.Module", model).to(own_device(wanted[0][1]))
    taught = Teacher(model, layers)
    for kind, training in wanted:
        stage, hooks = kind(made, taught, settings.losses), judge.hooks(kind)
        train(stage, streams["train"], Targets(taught), out / "stages" / kind.name, training, hooks)
    streams["train"].close()
    save_model(made.model.eval(), tokenizer, out, made.projections)
    scores = {"teacher": judge.score(model), "student": judge.score(made.model)}
    return Distilled(out, made.model, layers, scores if dev is not None else {})


@dataclass(frozen=True)
class _Judge:
    """Dev rows, if there are any, and what a model is judged by."""

    stream: ShardStream | None
    metrics: tuple[Metric, ...]

    def score(self, model: PreTrainedModel) -> dict[str, float]:
        return {} if self.stream is None else evaluate(model, self.stream, self.metrics)

    def hooks(self, kind: type[Stage]) -> Hooks:
        """Logs progress; of the predictions the best epoch is kept."""

        def progress(now: Progress) -> None:
            losses = ", ".join(f"{name} {value:.4f}" for name, value in now.losses.items())
            logger.info("%s, step %d, %d of %d examples: %s", kind.name, now.step, now.examples, now.total, losses)

        if self.stream is None or kind is not PredictionStage:
            return Hooks(progress)
        return Hooks(progress, lambda stage: self.score(stage.model), str(self.metrics[0]))


def _teacher(name: str, max_length: int) -> tuple[PreTrainedModel, Any]:
    """A fine-tuned model and its tokenizer."""
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        model, drawn, _ = read_model(head_class(masked_lm=False, spans=False), name, config, seed=0)
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise DistillError(
            f"expected a teacher with its tokenizer at {name!r}; it cannot be read ({reason(error)}). Give a folder of "
            "save_pretrained, or a name on the hub."
        ) from error
    if drawn:
        raise DistillError(f"expected a fine-tuned classifier in {name}; {drawn[0]} is missing. Fine-tune it first.")
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise DistillError(f"expected a fast tokenizer with a padding token in {name}; found another. Save a fast one.")
    check_vocabulary_size(config, tokenizer, "teacher")
    check_length(config, max_length, "teacher")
    return model, tokenizer


def _start(name: str, settings: DistillSettings) -> str:
    """Where a student starts: its own weights, what the settings say, or what suits its shape."""
    own_weights = Path(name).is_dir() or ("/" in name and not Path(name).exists())
    return name if own_weights else settings.start or start_of(name, StudentStart.GENERAL)


def _stages(settings: DistillSettings, start: str) -> list[tuple[Kind, TrainSettings]]:
    """The stages that are trained; one with the default settings has the rate of its start."""
    stages = (
        (IntermediateStage, settings.intermediate, INTERMEDIATE),
        (PredictionStage, settings.prediction, PREDICTION),
    )
    usual: dict[str, Any] = {"learning_rate": RANDOM_RATE} if start == StudentStart.RANDOM else {}
    wanted: list[tuple[Kind, TrainSettings]] = [
        (kind, replace(training, **usual) if training is default else training)
        for kind, training, default in stages
        if training is not None
    ]
    if not wanted:
        raise DistillError("expected at least one of the stages intermediate and prediction; found None for both.")
    return wanted


def _student(
    name: str, start: str, settings: DistillSettings, teacher: PreTrainedModel, tokenizer: Any
) -> tuple[Student, Layers]:
    """The student by its shape or from its own weights, and the layers of the teacher that it learns from."""
    config = student_config(name, teacher.config)
    layers = resolve_layer_map(settings.layer_map, config.num_hidden_layers, teacher.config.num_hidden_layers)
    student = build_student(name, start, teacher, layers, settings.reading.seed)
    if (Path(name) / "tokenizer.json").exists():
        check_vocabularies(tokenizer, AutoTokenizer.from_pretrained(name, trust_remote_code=False))
    check_equal_embeddings(student.model.config, teacher.config)
    check_length(student.model.config, settings.reading.max_length, "student")
    return student, layers


def _stream(rows: Any, columns: Columns, place: Path, tokenizer: Any, reading: StreamSettings) -> ShardStream:
    """Rows to train on or to judge by, written to `place` where they are in memory."""
    files = open_shards(written(rows, place) if isinstance(rows, pa.Table) else str(rows), columns)
    return ShardStream(files, columns, tokenizer_json(tokenizer), tokenizer.pad_token_id, reading)
