"""`--dry-run` of the training verbs: what each stage would cost, with files in a folder that is thrown away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.run_folder.stage_folder import finished_metrics, refuse_other_run, stage_storage, started_run
from pipelines.run_folder.storage import Storage
from pipelines.tasks.label_counts import label_report
from pipelines.training.cut_texts import cut_texts
from pipelines.training.estimates import StageEstimate, TrainingEstimate, subset_note, weights_bytes
from pipelines.training.parts import open_stream, task_columns, write_part
from pipelines.training.step_parts import with_parts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.shards import ShardStream
    from pipelines.found import Found
    from pipelines.training.request import DistillRequest, FinetuneRequest


def plan_finetune(request: FinetuneRequest, folder: str, found: Found) -> TrainingEstimate:
    """What a fine-tuning would cost.

    Args:
        request: what the user asked for.
        folder: for what has to lie somewhere meanwhile.
        found: what the command has found already.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from pipelines.models.load import load_classifier
    from pipelines.training.finetune_job import check_finetune, finetune_content

    storage = stage_storage(request.out, "a model")
    there = started_run(storage, "finetune", overwrite=False)
    started = None if request.overwrite else there
    request = with_parts(request, started)
    encoder = check_finetune(request, found)
    done = started is not None and finished_metrics(storage) is not None
    if started is not None:
        refuse_other_run(storage, started, finetune_content(request, encoder), done)
    columns = task_columns(encoder.data.task, labelled=True)
    place = write_part(Storage(folder), encoder.data, "train")
    model = load_classifier(encoder.found, encoder.config, request.reading.seed)
    stream = open_stream(place, columns, encoder.tokenizer, request.reading.max_length, request.recipe.batch_rows)
    estimate = finetune_estimate(request, model, stream, done)
    estimate = estimate.with_labels(label_report(encoder.data.task, {"train": place}))
    return replace(estimate, notes=encoder.data.notes() + estimate.notes)


def finetune_estimate(
    request: FinetuneRequest, model: PreTrainedModel, stream: ShardStream, done: bool = False
) -> TrainingEstimate:
    """What a fine-tuning would cost, by a short measurement on a copy of the model.

    Args:
        request: what the user asked for.
        model: as it starts; unchanged.
        stream: the training rows, or all of those that they are chosen from.
        done: an earlier start finished it.
    """
    from distill.objectives import LabelStage
    from pipelines.training.measure import NOTHING, sample_batches, stage_cost

    wanted = request.reading.train_rows
    rows = min(len(stream), wanted or len(stream))
    cost = NOTHING if done else stage_cost(LabelStage(model), None, sample_batches(stream), request.machine)
    stage = StageEstimate("finetune", request.recipe, rows, cost, seed=request.reading.seed, done=done)
    disk = 0 if done else weights_bytes(model.num_parameters())
    cut = cut_texts(stream)
    notes = subset_note(request.named_rows, rows) + cut.notes
    return TrainingEstimate((stage,), "", 0, disk, notes, cut.facts)


def plan_distillation(request: DistillRequest, folder: str, found: Found) -> TrainingEstimate:
    """What a distillation would cost.

    Args:
        request: what the user asked for.
        folder: for what has to lie somewhere meanwhile.
        found: what the command has found already.

    Raises:
        UserError, AugmentError, DistillError: something cannot be used.
    """
    from pipelines.distilling.begun import begun_distillation
    from pipelines.distilling.checks import check_distill
    from pipelines.distilling.content import distill_content
    from pipelines.distilling.distill_job import cache_root
    from pipelines.distilling.plan import plan_distill
    from pipelines.distilling.session import load_student, load_teacher, training_rows
    from pipelines.training.teacher_kernel import pack_teacher

    storage = stage_storage(request.out, "a model")
    there = started_run(storage, "distill", overwrite=False)
    started = None if request.overwrite else there
    request = with_parts(request, started)
    checked = check_distill(request, found)
    begun = begun_distillation(storage, started)
    if started is not None:
        refuse_other_run(storage, started, distill_content(request, checked), finished_metrics(storage) is not None)
    teacher = load_teacher(request, checked)
    student = load_student(request, checked, teacher)
    pack_teacher(teacher)
    place = training_rows(request, checked, Storage(folder))
    estimate = plan_distill(
        request, checked, teacher, student, place, cache_root(request, storage), begun=begun
    ).estimate
    places = {} if checked.train else {"train": write_part(Storage(folder), checked.data, "train")}
    return estimate.with_labels(label_report(checked.data.task, places))
