"""`tinyaug evaluate`: dev metrics of a model, its predictions, and its answers for the GLUE server."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from pipelines.distilling.checks import TeacherFiles, check_teacher, find_files
from pipelines.errors import UserError
from pipelines.evaluating import submission
from pipelines.evaluating.dev_scores import Judged, Predictor
from pipelines.evaluating.label_order import load_in_order, misorder_words, order_note
from pipelines.evaluating.output_files import TABLES, check_place, write_table
from pipelines.models.load import move, trained_length
from pipelines.options.of_run import classifier_of
from pipelines.run_folder.identity import changed_files
from pipelines.run_folder.storage import Storage
from pipelines.squad.judging import Answered, write_answers
from pipelines.tasks.squad import MAX_LENGTH as WINDOW
from pipelines.tasks.task import DEV
from pipelines.training.parts import TaskData, open_data, task_columns, write_part
from pipelines.training.recipe import MAX_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np

    from distill.class_report import ClassReport
    from distill.metrics import Scores
    from pipelines.found import Found
    from pipelines.options.verbs import EvaluateOptions
    from pipelines.reporting import Reporter
    from pipelines.tasks import Task


@dataclass(frozen=True)
class Evaluated:
    """What came of it.

    Args:
        dev: part -> metric -> value.
        rows: part -> its rows.
        classes: part -> scores by class; empty for a task without classes.
        submitted: files written into the archive.
        missing: files of the server that are not in it yet.
    """

    dev: Scores
    rows: dict[str, int]
    classes: dict[str, ClassReport] = field(default_factory=dict)
    submitted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def run_evaluate(request: EvaluateOptions, reporter: Reporter, found: Found) -> Evaluated:
    """Judges a model; writes nothing but the files that were asked for.

    Args:
        request: what the user asked for.
        reporter: is told of progress.
        found: what the command has found already.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's.
        JobError: a file cannot be written.
    """
    data = open_data(request.data, found)
    wanted = check_outputs(request, data)
    if not wanted:
        refuse_without_dev(data)
    files = find_files(request.model, request.revision, "model", found, any_family=True)
    for words in changed_dev(request, data):
        reporter.warning(words)
    with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
        return _Evaluation(request, data, files, folder, reporter).run(wanted)


def changed_dev(request: EvaluateOptions, data: TaskData) -> list[str]:
    """Which dev files of a run's own data changed since, in words; none where other data was named than the run's."""
    if request.run is None:
        return []
    folder, content = classifier_of(request.run)
    place = request.data.data
    if content["sources"]["data"] != (str(place) if place else None):
        return []
    now = [asdict(file) for file in data.inputs(data.dev_parts)]
    names, inputs = {file["name"] for file in now}, content["inputs"]
    then = inputs["dev"] if "dev" in inputs else [file for file in inputs["data"] if file["name"] in names]
    changed = changed_files(then, now) if then else []
    return [
        f"{place}: other {words}; {folder}/metrics.json has the scores of the rows as they were" for words in changed
    ]


def refuse_without_dev(data: TaskData) -> None:
    """Refuses a task without a labelled dev part.

    Raises:
        UserError: saying which file it would be in.
    """
    if data.dev_parts:
        return
    usual = [names[0] for part, names in data.task.splits.items() if part.startswith(DEV)]
    raise UserError(
        f"--task {data.task.name}: expected labelled dev rows to evaluate on, found none; give a folder that has a "
        f"{usual[0] if usual else 'dev.csv, dev.jsonl or the like'} as --data (a single file counts as train)"
        f"{', or ask for --submission alone' if usual else ' and its labels as --label, or --dev-split'}"
    )


def reading_length(files: TeacherFiles, task: Task, asked: int | None) -> int:
    """Tokens at which a model's texts are cut: as asked, else as it was trained, at most as many as it has positions.

    Args:
        files: of the model.
        task: its texts.
        asked: what the user asked for.
    """
    from distill.checks import usable_positions

    trained = trained_length(files.found.folder) or (WINDOW if task.label.is_span else MAX_LENGTH)
    return asked or min(trained, usable_positions(files.config) or trained)


def check_outputs(request: EvaluateOptions, data: TaskData, made: Path | None = None) -> tuple[str, ...]:
    """Checks that what was asked for can be had, before anything is predicted.

    Args:
        request: what the user asked for.
        data: the task.
        made: a run's folder, which is made before the files, with those above it; None for none.

    Returns:
        The parts that the server wants answers to.

    Raises:
        UserError: a folder that is missing, another file in the place, a name that says no format, a part that cannot
            be read, a task that the server does not know.
    """
    if request.predictions is not None:
        kinds = (".json",) if data.task.label.is_span else TABLES
        if request.predictions.suffix not in kinds:
            raise UserError(f"--predictions {request.predictions}: expected a name that ends in {', '.join(kinds)}")
        check_place("--predictions", request.predictions, made)
    wanted: tuple[str, ...] = ()
    if request.submission is not None:
        check_place("--submission", request.submission, made)
        submission.read_archive(request.submission)
        wanted = submission.submitted_parts(data.task)
    for part in (*data.dev_parts, *wanted):
        if data.opened is not None:
            data.opened.split(part)
    return wanted


class _Evaluation:
    """A model, checked against its task, loaded, and given the parts of the task's data."""

    def __init__(
        self, request: EvaluateOptions, data: TaskData, files: TeacherFiles, folder: str, reporter: Reporter
    ) -> None:
        self.request, self.data, self.folder, self.reporter = request, data, folder, reporter
        self.files = files
        max_length = reading_length(files, data.task, request.max_length)
        check_teacher(files, data, max_length)
        for note in order_note(files.found, files.config, data.task):
            reporter.message(note)
        model = load_in_order(files.found, files.config, data.task)
        move(model, request.machine.device)
        precision = request.machine.precision
        self.predictor = Predictor(model, files.tokenizer, max_length, precision, request.batch_rows)

    def run(self, wanted: tuple[str, ...]) -> Evaluated:
        """Judges the dev parts, then answers what the server asks for."""
        data, request = self.data, self.request
        judged = {part: self.predictor.judge(self._place(data, part), data.task) for part in data.dev_parts}
        for part in data.dev_parts[:1]:
            self._warn(part, judged[part])
        if request.predictions is not None and judged:
            _write_predictions(request.predictions, data, judged)
        rows, answers = {part: len(found.labels) for part, found in judged.items()}, {}
        for asked, part in self._asked(wanted):
            logits, _ = self.predictor.predict(self._place(asked, part), task_columns(asked.task, labelled=False))
            answers[asked.task.submitted[part]] = submission.submission_file(asked.task, logits)
            rows[part if asked is data else asked.task.name] = len(logits)
        missing = submission.add_to_archive(request.submission, answers) if request.submission is not None else ()
        scores = {part: found.scores for part, found in judged.items()}
        return Evaluated(scores, rows, _by_class(data.task, judged), tuple(sorted(answers)), tuple(missing))

    def _warn(self, part: str, judged: Judged | Answered) -> None:
        """Of labels in another order, or else of a result that guessing reaches."""
        task, files = self.data.task, self.files
        if misordered := misorder_words(files.found, files.config, self.data, part, judged):
            self.reporter.warning(misordered)
            return
        advice = f"was it fine-tuned for {task.name}?"
        judged.warn_of_guess(task, part, self.reporter, f"model {self.request.model}: ", advice)

    def _asked(self, wanted: tuple[str, ...]) -> Iterator[tuple[TaskData, str]]:
        """The parts that the server wants answers to, and for MNLI the diagnostic set."""
        yield from ((self.data, part) for part in wanted)
        if wanted and self.data.task.name == "mnli":
            diagnostic = submission.find_diagnostic(self.request.data, self.reporter)
            if diagnostic is not None:
                yield diagnostic, "test"

    def _place(self, data: TaskData, part: str) -> str:
        self.reporter.message(f"predicting {data.task.name} {part}")
        return write_part(Storage(f"{self.folder}/{data.task.name}"), data, part)


def _by_class(task: Task, judged: Mapping[str, Judged | Answered]) -> dict[str, ClassReport]:
    from distill.class_report import report_classes

    return {
        part: report_classes(found.logits, found.labels, task.label.names)
        for part, found in judged.items()
        if task.label.names and isinstance(found, Judged)
    }


def _write_predictions(path: Path, data: TaskData, judged: Mapping[str, Judged | Answered]) -> None:
    import pyarrow as pa

    from distill.evaluation import prediction_table

    for found in judged.values():
        if isinstance(found, Answered):
            write_answers(path, data.task, found)
            return
    tables = [
        prediction_table(part, found.logits, found.labels, data.task.label.names, _split_off_rows(data, part))
        for part, found in judged.items()
        if isinstance(found, Judged)
    ]
    write_table(path, pa.concat_tables(tables))


def _split_off_rows(data: TaskData, part: str) -> np.ndarray | None:
    """Numbers of a part's rows in the files that --dev-split took it from; None for a part with files of its own."""
    picked = data.opened.split(part).picked if data.opened is not None else None
    return None if picked is None else picked.rows
