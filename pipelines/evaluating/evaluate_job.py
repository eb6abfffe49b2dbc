"""`tinyaug evaluate`: dev metrics of a model, its predictions, and its answers for the GLUE server."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelines.distilling.checks import check_teacher, find_files
from pipelines.errors import UserError
from pipelines.evaluating.dev_scores import BATCH_ROWS, metrics_of, predict_part, warn_of_guess
from pipelines.evaluating.diagnostic import find_diagnostic
from pipelines.evaluating.label_order import judged_order, load_in_order, order_note
from pipelines.evaluating.output_places import check_answers
from pipelines.evaluating.predictions import prediction_table, write_predictions
from pipelines.evaluating.submission import add_to_archive, submission_file, submitted_parts
from pipelines.run_folder.storage import Storage
from pipelines.tasks.custom_files import custom_files
from pipelines.tasks.glue import DIAGNOSTIC
from pipelines.tasks.readers.lines import split_name
from pipelines.training.models import move, trained_length
from pipelines.training.parts import TaskData, open_data, task_columns, write_part
from pipelines.training.recipe import MAX_LENGTH

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from transformers import PreTrainedModel

    from pipelines.training.reporting import TrainingReporter
    from pipelines.training.request import DataChoice, EvaluateRequest


@dataclass(frozen=True)
class Evaluated:
    """What came of it.

    Args:
        dev: part -> metric -> value.
        rows: part -> its rows.
        submitted: files written into the archive.
        missing: files of the server that are not in it yet.
    """

    dev: dict[str, dict[str, float]]
    rows: dict[str, int]
    submitted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def run_evaluate(request: EvaluateRequest, reporter: TrainingReporter) -> Evaluated:
    """Judges a model; writes nothing but the files that were asked for.

    Args:
        request: what the user asked for.
        reporter: is told of progress.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's.
        JobError: a file cannot be written.
    """
    data = open_data(request.data)
    check_answers(request)
    wanted = submitted_parts(data.task) if request.submission is not None else ()
    for part in (*data.dev_parts, *wanted):
        if data.opened is not None:
            data.opened.split(part)
    if not data.dev_parts and not wanted:
        raise UserError(_nothing_to_judge(request.data, data))
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        return _Evaluation(request, data, Storage(folder), reporter).run(wanted)


def _nothing_to_judge(choice: DataChoice, data: TaskData) -> str:
    """Why there is no dev part to judge by, and what to do about it."""
    name, custom, place = data.task.name, data.task.name == "custom", choice.data
    if custom and place is None:
        return "--task custom: expected --data with a dev part to evaluate on, found none; add it"
    if data.task.label.kind == "none":
        return f"--task {name}: expected --label with the column of the labels to judge by, found none; add it"
    dev, remedy = ("dev_matched.tsv" if name == "mnli" else "dev.tsv"), ", or ask for --submission alone"
    if custom and place is not None:
        dev, remedy = f"dev{split_name(next(iter(custom_files(place).values()))[0])[1]}", ""
    if place is not None and place.is_file():
        return (
            f"--data {place}: expected a labelled dev part to evaluate on, found a single file, which counts as train; "
            f"put it into a folder as {dev} and give the folder{remedy}"
        )
    return f"expected a labelled dev part of {name} to evaluate on, found none; add {dev} to --data{remedy}"


class _Evaluation:
    def __init__(self, request: EvaluateRequest, data: TaskData, storage: Storage, reporter: TrainingReporter) -> None:
        from distill.checks import usable_positions

        self.request, self.data, self.storage, self.reporter = request, data, storage, reporter
        files = find_files(request.model, request.revision, "model")
        positions = usable_positions(files.config) or MAX_LENGTH
        self.max_length = request.max_length or min(trained_length(files.found.folder) or MAX_LENGTH, positions)
        check_teacher(files, data, self.max_length)
        self.tokenizer = files.tokenizer
        self.files = files
        for note in order_note(files.found, files.config, data.task):
            reporter.message(note)
        self.model: PreTrainedModel = load_in_order(files.found, files.config, data.task)
        move(self.model, request.machine.device)

    def run(self, wanted: tuple[str, ...]) -> Evaluated:
        """Dev parts first, then what the server asks for."""
        from distill.metrics import compute_metrics

        dev, rows, tables = {}, {}, []
        for part in self.data.dev_parts:
            logits, labels = self._predict(self.data, part, labelled=True)
            rows[part] = len(logits)
            dev[part] = compute_metrics(metrics_of(self.data.task), logits, labels)
            if part == self.data.dev_parts[0]:
                self._warn(dev[part], part, logits, labels)
            tables.append(prediction_table(self.data.task, part, logits, labels))
        if self.request.predictions is not None and tables:
            import pyarrow as pa

            write_predictions(self.request.predictions, pa.concat_tables(tables))
        if self.request.submission is None:
            return Evaluated(dev, rows)
        return self._submit(self.request.submission, wanted, Evaluated(dev, rows))

    def _warn(self, found: dict[str, float], part: str, logits: np.ndarray, labels: np.ndarray) -> None:
        """Of labels in another order, or else of a result that guessing reaches."""
        files, task, who = self.files.found, self.data.task, f"model {self.request.model}: "
        if misordered := judged_order(files, self.files.config, self.data, part, logits, labels):
            self.reporter.warning(misordered)
            return
        warn_of_guess(found, labels, task, part, self.reporter, who, f"was it fine-tuned for {task.name}?")

    def _submit(self, archive: Path, wanted: tuple[str, ...], found: Evaluated) -> Evaluated:
        task = self.data.task
        files = {}
        for part in wanted:
            logits, _ = self._predict(self.data, part, labelled=False)
            files[task.submitted[part]] = submission_file(task, logits)
            found.rows[part] = len(logits)
        if task.name == "mnli" and (diagnostic := find_diagnostic(self.request.data, self.reporter)) is not None:
            logits, _ = self._predict(diagnostic, "test", labelled=False)
            files[DIAGNOSTIC.submission[0]] = submission_file(task, logits)
            found.rows[DIAGNOSTIC.name] = len(logits)
        missing = add_to_archive(archive, files)
        return replace(found, submitted=tuple(sorted(files)), missing=tuple(missing))

    def _predict(self, data: TaskData, part: str, labelled: bool) -> tuple[np.ndarray, np.ndarray]:
        self.reporter.message(f"predicting {data.task.name} {part}")
        place = write_part(Storage(f"{self.storage.root}/{data.task.name}"), data, part)
        columns, precision = task_columns(data.task, labelled), self.request.machine.precision
        rows = self.request.batch_rows or BATCH_ROWS
        return predict_part(self.model, place, columns, self.tokenizer, self.max_length, precision, rows)
