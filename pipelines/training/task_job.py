"""What the jobs that train for a task share: its parts as rows, its dev parts, its labels."""

from __future__ import annotations

from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from distill.reading import open_shards
from pipelines.auditing.kept import find_kept
from pipelines.distilling.checks import find_shards
from pipelines.errors import UserError
from pipelines.evaluating.dev_scores import Predictor, forward_rows, metrics_of
from pipelines.methods.method import MethodStage, Rows
from pipelines.run_folder.run_file import InputDigest
from pipelines.run_folder.stage_folder import TOKENS
from pipelines.squad.judging import AnswerJudge
from pipelines.squad.windows import write_windows
from pipelines.tasks.label_counts import label_report
from pipelines.tasks.task import listed
from pipelines.training.estimates import Told, cut_texts, shown_share, subset_note
from pipelines.training.job import Job, Models
from pipelines.training.loop import Dev
from pipelines.training.parts import (
    TaskData,
    open_stream,
    row_columns,
    task_columns,
    write_chosen,
    write_part,
    write_subset,
)
from pipelines.wording import counted

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.metrics import Scores
    from distill.shards import ShardStream
    from pipelines.auditing.kept import Kept
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage
    from pipelines.training.request import DistillRequest, FinetuneRequest
    from pipelines.training.results import Result


NAMED = 3  # questions that a note names


class TaskJob(Job):
    """A job that trains a classifier, or a regression, for a task.

    Attributes:
        data: the task; known once `check` has passed.
        train: location of shards to learn from; None for the task's own train part.
        stand_in_rows: of shards still to be made, for which the train part stands in; None where there are none.
        kept: the rows of these shards that are learnt from; None for all.
        other_tokenizer: the teacher's, where it is not the student's.
        left_out: ids of SQuAD's rows whose answer lies whole in no window.
        role: of the model, for messages; empty for a model that needs none.
        advice: what to do where it is no better than guessing.
    """

    request: FinetuneRequest | DistillRequest
    served = (Rows.AUGMENTED, Rows.ORIGINAL)
    data: TaskData
    train: str | None = None
    stand_in_rows: int | None = None
    kept: Kept | None = None
    other_tokenizer: Any = None
    role: ClassVar[str]
    advice: ClassVar[str]

    @cached_property
    def left_out(self) -> list[str]:
        """None at first."""
        return []

    @property
    def max_length(self) -> int:
        """Tokens at which texts are cut."""
        return self.request.reading.max_length

    def data_sources(self) -> dict[str, str | None]:
        """Where the data came from, found from any folder by `evaluate --run`."""
        data = self.request.data.data
        return {"data": str(data.expanduser().absolute()) if data else None, "data_revision": self.data.revision}

    @property
    def reads_own(self) -> bool:
        """Whether a stage reads the task's own train part."""
        return self.train is None or any(stage.rows is Rows.ORIGINAL for stage in self.method.trained)

    def check_rows(self) -> None:
        """Finds the rows of --train; refuses a task without the train part or the labels that a stage reads.

        Raises:
            UserError, DistillError: there are none, or shards of another task.
        """
        self.train = None
        if self.request.train is not None and self.stand_in_rows is None:
            labelled = any(stage.labelled for stage in self.method.trained)
            self.train = find_shards(self.request.train, self.data, labelled)
            columns = row_columns(self.data.task)
            self.kept = find_kept(self.train, columns, self.request.max_flip, self.request.originals)
        opened, stages = self.data.opened, self.method.trained
        if self.data.task.label.kind == "none" and any(stage.labelled for stage in stages):
            options = "--label COLUMN" if opened is not None else "--data and --label COLUMN"
            raise UserError(f"expected a task with labels to learn from, found none; name them with {options}")
        if not self.reads_own:
            return
        if opened is None:
            shards = "" if self.train else ", or --train with a folder of Parquet shards"
            raise UserError(f"expected the files of the custom task, found none; give --data{shards}")
        opened.split("train")

    def prepare(self, storage: Storage, models: Models, reporter: Reporter) -> None:  # noqa: ARG002
        """Writes the dev parts and the rows of all stages."""
        for part in self.data.dev_parts:
            write_part(storage, self.data, part)
        for stage in self.method.trained:
            self.place(stage, storage)

    def place(self, stage: MethodStage, storage: Storage) -> str:
        """Where a stage's rows lie, or their windows; what is made of the user's rows is written first."""
        place = self.source(stage, storage)
        if self.data.task.label.is_span:  # a variant may push its answer out of a window that held the original's
            left_out = self.left_out if self.data.skip_bad_rows or place == self.train else None
            place = write_windows(storage, place, self.tokenizer, self.max_length, left_out=left_out)
        reading = self.request.reading
        if reading.train_rows is None or self.provisional:
            return place
        return write_subset(
            storage, place, task_columns(self.data.task, stage.labelled), reading.train_rows, reading.seed
        )

    def source(self, stage: MethodStage, storage: Storage) -> str:
        """Where the rows lie that a stage reads; a train part is written first."""
        if self.train is None or stage.rows is not Rows.AUGMENTED:
            return write_part(storage, self.data, "train")
        if self.kept is None:
            return self.train
        columns = row_columns(self.data.task, stage.labelled)
        return write_chosen(storage, open_shards(self.train, columns), columns, self.kept.rows, "kept")

    def rows(self, stream: ShardStream, kind: Rows) -> int:
        """Rows that there will be, of SQuAD windows; the original ones are there."""
        made, rows = self.stand_in_rows if kind is Rows.AUGMENTED else None, len(stream)
        if made is not None and self.data.task.label.is_span:  # as many of each row as there are of an original one
            import pyarrow.parquet as pq

            of_train = pq.read_metadata(PurePath(stream.files.paths[0]).with_name("train.parquet")).num_rows
            made = round(made * rows / of_train)
        rows = rows if made is None else made
        return min(rows, self.request.reading.train_rows or rows)

    def train_inputs(self) -> list[InputDigest]:
        """Name, bytes and sha256 of what is learnt from."""
        own = self.data.inputs(("train",)) if self.reads_own else []
        if self.train is None:
            return own
        files = open_shards(self.train, row_columns(self.data.task))
        sizes = [info.size for info in files.filesystem.get_file_info(list(files.paths))]
        return [
            InputDigest(PurePath(path).name, size, files.sha256(shard))
            for shard, (path, size) in enumerate(zip(files.paths, sizes, strict=True))
        ] + [*(self.kept.decided_by if self.kept is not None else ()), *own]

    def chosen_rows(self) -> dict[str, float | bool]:
        """The settings that leave out rows of --train, as far as there are any."""
        told = {"max_flip": self.request.max_flip, "originals": self.request.originals or None}
        return {name: value for name, value in told.items() if value is not None}

    def stream(self, stage: MethodStage, storage: Storage, cached: bool = True) -> ShardStream:  # noqa: ARG002
        """Batches of a stage's rows; without labels it reads the texts alone."""
        from distill.shards import OtherTokens
        from distill.tokens import tokenizer_json

        columns, reading = task_columns(self.data.task, stage.labelled), self.request.reading
        place, batch = self.place(stage, storage), stage.recipe.batch_rows
        kept = storage.local_folder() / TOKENS
        stream = open_stream(place, columns, self.tokenizer, reading.max_length, batch, reading.seed, kept=kept)
        if self.other_tokenizer is not None and stage.kept is not None:  # what is learnt of the teacher
            stream.other = OtherTokens(tokenizer_json(self.other_tokenizer), self.other_tokenizer.pad_token_id)
        return stream

    def tell(self, storage: Storage, stream: ShardStream) -> Told:
        """Classes of the parts in the folder, what is cut of the texts, and what the user may not have meant."""
        if self.data.task.label.is_span:
            wanted = self.request.reading.train_rows if self.request.reading.has("train_rows") else None
            notes, few = self.data.notes(), [*dict.fromkeys(self.left_out)]
            if few:
                notes += (
                    f"left out {counted(len(self.left_out), 'row')} whose answer lies whole in no window of "
                    f"{self.max_length} tokens, of the questions {listed(few[:NAMED])}"
                    f"{' and others' if len(few) > NAMED else ''}; a higher --max-length keeps them",
                )
            facts = (f"windows of {self.max_length} tokens to learn from: {len(stream):,}",)
            return Told(facts, notes + subset_note(wanted, self.rows(stream, Rows.AUGMENTED)))
        parts = [*([] if self.train else ["train"]), *self.data.dev_parts]
        places = {part: write_part(storage, self.data, part) for part in parts if storage.size(f"data/{part}.parquet")}
        if stream.columns.label and len(stream.files.paths) == 1:  # of a subset its own
            places["train"] = stream.files.paths[0]
        lines, warnings = label_report(self.data.task, places)
        lines += (self.kept.words,) if self.kept is not None else ()
        cut, reading = cut_texts(stream), self.request.reading
        wanted = reading.train_rows if reading.has("train_rows") else None  # a profile's may be more than there are
        notes = self.data.notes() if self.reads_own else ()
        notes += warnings + subset_note(wanted, self.rows(stream, Rows.AUGMENTED)) + cut.notes
        return Told(lines + cut.facts, notes, cut.truncated)

    def shown_length(self, result: Result) -> str:
        """--max-length and what it cuts, for a model card."""
        share = result.resolved.truncated_share
        return f"{self.max_length}" + ("" if share is None else f" (longer: {shown_share(share)} of the texts)")

    @property
    def has_dev(self) -> bool:
        """Whether there is a labelled dev part."""
        return bool(self.data.dev_parts)

    def dev(self, storage: Storage) -> Dev | None:
        """The selecting dev part (MNLI: matched), or None where there is none."""
        if not self.has_dev:
            return None
        place, columns = write_part(storage, self.data, self.data.dev_parts[0]), task_columns(self.data.task, True)
        if self.data.task.label.is_span:
            judge = AnswerJudge(self.data.task, place, self.tokenizer, self.max_length)
            return Dev(judge.stream(forward_rows(self.request.machine.device)), metrics_of(self.data.task), judge)
        rows = forward_rows(self.request.machine.device)
        stream = open_stream(place, columns, self.tokenizer, self.max_length, rows)
        return Dev(stream, metrics_of(self.data.task))

    def judge(self, model: PreTrainedModel, storage: Storage, reporter: Reporter) -> Scores:
        """Metrics on all labelled dev parts; warns where they may be a guess's."""
        data, precision = self.data, self.request.machine.precision
        predictor = Predictor(model, self.tokenizer, self.max_length, precision)
        found = {part: predictor.judge(write_part(storage, data, part), data.task) for part in data.dev_parts}
        for part in data.dev_parts[:1]:
            found[part].warn_of_guess(data.task, part, reporter, self.role, self.advice)
        return {part: judged.scores for part, judged in found.items()}

    def selected_by(self, dev: Scores) -> str | None:
        """The metric that chose the best epoch; None without a dev part."""
        return str(metrics_of(self.data.task)[0]) if dev else None
