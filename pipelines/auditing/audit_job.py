"""`tinyaug audit`: a teacher labels the originals and variants of an augmentation, or of a sample of its examples."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distill.checks import label_names
from distill.stores import reading
from pipelines.auditing.augmented import Augmented, Shard, open_augmented, sample_examples
from pipelines.auditing.judgements import JudgedBy, judge_rows, parts_of, read_judgements, write_judgements
from pipelines.auditing.plot import check_plots, write_plot
from pipelines.auditing.report import Report
from pipelines.distilling.checks import TeacherFiles, check_teacher, find_files
from pipelines.errors import UserError
from pipelines.evaluating.dev_scores import Predictor
from pipelines.evaluating.evaluate_job import reading_length
from pipelines.evaluating.label_order import load_in_order
from pipelines.evaluating.output_files import check_place
from pipelines.models.load import move
from pipelines.run_folder.lock import only_writer
from pipelines.run_folder.parquet import RowReader
from pipelines.training.parts import TaskData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipelines.auditing.flips import Keys
    from pipelines.found import Found
    from pipelines.options.auditing import AuditOptions
    from pipelines.reporting import Reporter


@dataclass(frozen=True)
class Audit:
    """What came of it.

    Args:
        augmented: what was audited.
        report: what was found.
        examples: of the augmentation.
        whole: whether all of them were judged, and the judgements are kept.
    """

    augmented: Augmented
    report: Report
    examples: int
    whole: bool


def run_audit(request: AuditOptions, reporter: Reporter, found: Found) -> Audit:
    """Audits an augmentation; writes judgements of all rows where they are asked for, and a PNG.

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
    for option, path in (("--json", request.json_file), ("--png", request.png)):
        if path is not None:
            check_place(option, path)
    if request.png is not None:
        check_plots(request.png)
    augmented = open_augmented(request.run)
    files = find_files(request.teacher, request.revision, "teacher", found, any_family=True)
    auditor = _Auditor(request, augmented, files)
    with only_writer(augmented.storage, reporter.message, or_else="") if request.all else nullcontext():
        report = auditor.run(reporter)
    if request.png is not None:
        write_plot(report, request.png)
    return Audit(augmented, report, auditor.examples, request.all)


class _Auditor:
    """A teacher, checked against the task of an augmentation, and loaded."""

    def __init__(self, request: AuditOptions, augmented: Augmented, files: TeacherFiles) -> None:
        self.request, self.augmented, task = request, augmented, augmented.task
        length = reading_length(files, task, request.max_length)
        check_teacher(files, TaskData(task, None, names_given=True), length)
        names = task.label.names or (() if files.config.num_labels == 1 else tuple(label_names(files.config)))
        model = load_in_order(files.found, files.config, task)
        move(model, request.machine.device)
        precision = request.machine.precision
        self.predictor = Predictor(model, files.tokenizer, length, precision, request.batch_rows)
        self.by = JudgedBy(files.found.fingerprint, names, length, precision)
        self.report, self.examples = Report(names), 0

    def run(self, reporter: Reporter) -> Report:
        """Judges shard after shard."""
        augmented, request = self.augmented, self.request
        keys = [augmented.keys(shard) for shard in augmented.shards]
        self.examples = sum(int((found.variant == 0).sum()) for found in keys)
        rows = [np.arange(len(found.source)) for found in keys]
        if not request.all:
            rows = sample_examples(keys, request.sample, request.seed)
        if not any(found.variant[part].any() for found, part in zip(keys, rows, strict=True)):
            raise UserError(
                f"{augmented.storage.display()}: expected variants to audit, found {self.examples:,} originals and no "
                "variant of those that would be judged; augment with --n 1 or more"
            )
        for number, (shard, part, of_shard) in enumerate(zip(augmented.shards, rows, keys, strict=True), start=1):
            if len(part):
                reporter.message(f"the teacher labels {len(part):,} rows of shard {number} of {len(augmented.shards)}")
                with reading(f"rows of {augmented.storage.display(shard.place)}"):
                    self._judge(shard, part, of_shard.part(part))
        return self.report

    def _judge(self, shard: Shard, rows: NDArray[np.int64], keys: Keys) -> None:
        augmented, whole, columns = self.augmented, self.request.all, self.augmented.task.text_columns
        originals = keys.originals(augmented.storage.display(shard.place))
        flips = read_judgements(augmented.storage, shard, self.by) if whole else None
        if flips is None:
            flips = judge_rows(augmented, shard, rows, originals, self.predictor)
            if whole:
                write_judgements(augmented.storage, shard, self.by, flips)
        reader, said = RowReader(augmented.storage, shard.place), flips.prediction[originals]
        for part in parts_of(np.arange(len(rows))):
            edits = reader.take(rows[part], ["edits"]).column("edits")
            self.report.add(keys.part(part), flips.part(part), said[part], edits)
        self.report.keep_examples(keys, flips, originals, rows, reader, columns)
        reader.close()
