"""`tinyaug finetune`: an encoder or masked LM becomes a teacher for a task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipelines.errors import UserError
from pipelines.evaluating.dev_scores import Predictor, dev_of, evaluate_parts, metrics_of
from pipelines.models.labels import check_classes, name_labels
from pipelines.models.load import load_classifier, load_config, load_tokenizer, move
from pipelines.run_folder.run_file import undone_if_refused
from pipelines.run_folder.stage_folder import (
    METRICS,
    RUN,
    drop_checkpoints,
    finished_metrics,
    publish,
    refuse_other_run,
    run_content,
    stage_storage,
    started_run,
    task_content,
)
from pipelines.tasks.label_counts import label_report
from pipelines.training.cut_texts import cut_texts, shown_share
from pipelines.training.estimates import subset_note
from pipelines.training.loop import train_settings, train_stage
from pipelines.training.model_card import card
from pipelines.training.parts import open_data, open_stream, task_columns, write_part, write_subset
from pipelines.training.plans import finetune_estimate
from pipelines.training.ranks import Ranks
from pipelines.training.saving import save_model
from pipelines.training.step_parts import PARTS, parts_of, with_parts

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from augment.files.find import ModelFiles
    from distill.checkpoints import RunState
    from distill.metrics import Scores
    from distill.shards import ShardStream
    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage
    from pipelines.training.cut_texts import CutTexts
    from pipelines.training.parts import TaskData
    from pipelines.training.request import FinetuneRequest

STAGE = "labels"  # its folder, and the name of its loss
ADVICE = "try more epochs, another learning rate or more rows"


@dataclass(frozen=True)
class Trained:
    """What came of a training verb.

    Args:
        storage: its folder.
        metrics: the content of metrics.json.
        fresh: whether anything was left to do.
    """

    storage: Storage
    metrics: dict[str, Any]
    fresh: bool


@dataclass(frozen=True)
class Encoder:
    """What is to be fine-tuned, checked but not loaded.

    Args:
        data: the task.
        found: the model's files.
        config: with the task's labels.
        tokenizer: of the model.
    """

    data: TaskData
    found: ModelFiles
    config: PreTrainedConfig
    tokenizer: Any


def check_finetune(request: FinetuneRequest, found: Found) -> Encoder:
    """Finds everything a request names and checks what needs no weights.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from distill.checks import check_length, check_vocabulary_size

    stage_storage(request.out, "a model")
    data = open_data(request.data, found)
    if data.task.label.kind == "none":
        raise UserError("expected a task with labels to fine-tune on, found none; name them with --label COLUMN")
    check_classes(data.task)
    if not request.recipe.epochs:
        raise UserError("--epochs: expected at least 1, found 0")
    if data.opened is not None:
        data.opened.split("train")
    files = found.model(request.model, request.revision, "encoder")
    config = load_config(files)
    tokenizer = load_tokenizer(files)
    name_labels(config, data.task)
    check_vocabulary_size(config, tokenizer, "encoder")
    check_length(config, request.reading.max_length, "encoder")
    return Encoder(data, files, config, tokenizer)


def run_finetune(request: FinetuneRequest, reporter: Reporter, found: Found, profile: str | None = "paper") -> Trained:
    """Fine-tunes, going on where an earlier run of the same command stopped.

    Args:
        request: what the user asked for.
        reporter: is told of progress.
        found: what the command has found already.
        profile: what it was made from, for advice; None where a long run was announced already.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's; nothing was begun.
        JobError: training failed; the last checkpoint is kept.
    """
    storage = stage_storage(request.out, "a model")
    request = with_parts(request, started_run(storage, "finetune", overwrite=False))
    encoder = check_finetune(request, found)
    content = finetune_content(request, encoder)
    ranks = Ranks(request.machine.device == "cpu")
    with ranks.writing(storage, reporter):
        done = None if request.overwrite else finished_metrics(storage)
        if ranks.main:
            started = started_run(storage, "finetune", request.overwrite)
            if started is not None:
                refuse_other_run(storage, started, content, done is not None)
                profile = None  # it was announced when it began
            with undone_if_refused(storage, fresh=started is None):
                _write_inputs(request, encoder, storage, content if started is None else None)
        ranks.wait()
        if done is not None:
            if ranks.main:
                drop_checkpoints(storage.local_folder() / STAGE)  # a kill may have left some
            return Trained(storage, done, False)
        return _finetune(request, encoder, storage, ranks, ranks.reporter(reporter), profile if ranks.main else None)


def finetune_content(request: FinetuneRequest, encoder: Encoder) -> dict[str, Any]:
    """What run.json says: all that decides the outcome."""
    data, machine = encoder.data, request.machine
    settings = {
        "recipe": asdict(request.recipe),
        "reading": asdict(request.reading),
        "precision": machine.precision,
    }
    content = run_content(
        "finetune",
        settings,
        task_content(data.task),
        {"data": data.inputs(("train", *data.dev_parts))},
        {"encoder": encoder.found.fingerprint},
    )
    sources = {"data": str(request.data.data) if request.data.data else None, "data_revision": data.revision}
    model = {"model": request.model, "model_revision": encoder.found.revision}
    return {**content, PARTS: parts_of(request), "sources": {**sources, **model, "device": machine.device}}


def _write_inputs(request: FinetuneRequest, encoder: Encoder, storage: Storage, content: dict[str, Any] | None) -> None:
    """What all ranks then find: run.json first, which says whose folder it is, then the data."""
    if content is not None:
        storage.write_json(RUN, content)
    for part in encoder.data.dev_parts:
        write_part(storage, encoder.data, part)
    _training_rows(request, encoder, storage)


def _training_rows(request: FinetuneRequest, encoder: Encoder, storage: Storage) -> str:
    place, reading = write_part(storage, encoder.data, "train"), request.reading
    if reading.train_rows is None:
        return place
    columns = task_columns(encoder.data.task, labelled=True)
    return write_subset(storage, place, columns, reading.train_rows, reading.seed)


def _finetune(
    request: FinetuneRequest,
    encoder: Encoder,
    storage: Storage,
    ranks: Ranks,
    reporter: Reporter,
    profile: str | None,
) -> Trained:
    from distill.objectives import LabelStage

    reading, folder = request.reading, storage.local_folder()
    columns = task_columns(encoder.data.task, labelled=True)
    place = _training_rows(request, encoder, storage)
    model = load_classifier(encoder.found, encoder.config, reading.seed)
    move(model, request.machine.device)
    stream = open_stream(place, columns, encoder.tokenizer, reading.max_length, request.recipe.batch_rows, reading.seed)
    dev = dev_of(storage, encoder.data, encoder.tokenizer, reading.max_length)
    if dev is None:
        reporter.message("no labelled dev part: the last epoch is kept, not the best one")
    if profile not in (None, "quick"):
        estimate = finetune_estimate(request, model, stream)
        if warning := estimate.warning(request.machine.device, profile):
            reporter.warning(warning)
    settings = train_settings(request.recipe, request.machine, reading.seed)
    rows = len(stream)
    cut = _say_what_is_read(request, encoder, storage, stream, reporter)
    examples = request.recipe.examples(rows, reading.seed)
    state = train_stage(LabelStage(model), stream, None, folder / STAGE, settings, dev, reporter, examples)
    if ranks.main:
        predictor = Predictor(model, encoder.tokenizer, reading.max_length, request.machine.precision)
        found = evaluate_parts(predictor, storage, encoder.data, reporter, "", ADVICE)
        metrics = _publish(request, encoder, model, storage, state, rows, cut, found)
    ranks.wait()
    return Trained(storage, metrics if ranks.main else storage.read_json(METRICS) or {}, True)


def _say_what_is_read(
    request: FinetuneRequest, encoder: Encoder, storage: Storage, stream: ShardStream, reporter: Reporter
) -> CutTexts:
    """Says what classes there are and what is cut of the texts, and warns of what the user may not have meant."""
    data, cut = encoder.data, cut_texts(stream)
    places = {"train": stream.files.paths[0], **{part: write_part(storage, data, part) for part in data.dev_parts[:1]}}
    lines, warnings = label_report(data.task, places)
    for line in lines + cut.facts:
        reporter.message(line)
    for note in data.notes() + warnings + subset_note(request.named_rows, len(stream)) + cut.notes:
        reporter.warning(note)
    return cut


def _publish(
    request: FinetuneRequest,
    encoder: Encoder,
    model: PreTrainedModel,
    storage: Storage,
    state: RunState,
    rows: int,
    cut: CutTexts,
    found: Scores,
) -> dict[str, Any]:
    data, recipe = encoder.data, request.recipe
    facts = {
        "encoder": f"`{request.model}`",
        "task": data.task.name,
        "examples": f"{rows:,}",
        "epochs": recipe.epochs,
        "steps": f"{state.step:,}",
        "batch": recipe.batch_rows,
        "learning rate": recipe.learning_rate,
        "max_length": f"{request.reading.max_length} (longer: {shown_share(cut.share)} of the texts)",
        "seed": request.reading.seed,
    }
    text = card(
        f"{data.task.name} teacher",
        f"A text classifier for {data.task.name}, fine-tuned by `tinyaug finetune`.",
        data.task,
        found,
        facts,
    )
    tokenizer, length = encoder.tokenizer, request.reading.max_length
    files = publish(storage, lambda folder: save_model(folder, model, tokenizer, text, max_length=length))
    metrics = {
        "task": data.task.name,
        "dev": found,
        "selected_by": str(metrics_of(data.task)[0]) if found else None,
        "best_step": state.best_step,
        "steps": state.step,
        "examples": state.examples,
        "rows": rows,
        "truncated_share": cut.share,
        "seconds": round(state.seconds, 1),
        "files": files,
    }
    storage.write_json(METRICS, metrics)
    drop_checkpoints(storage.local_folder() / STAGE)
    return metrics
