"""What a verb brings to the driver: data and models, what run.json says of them, how the result is described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines.errors import UserError
from pipelines.options.teacher_cache import CacheChoice, Keep
from pipelines.run_folder.run_file import Identity, refuse_other_run, run_content
from pipelines.run_folder.storage import Storage
from pipelines.training.ranks import processes
from pipelines.training.results import Metrics, Resolved, Result

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.metrics import Scores
    from distill.shards import ShardStream
    from distill.student import Student
    from pipelines.found import Found
    from pipelines.general.request import GeneralRequest, PretrainRequest
    from pipelines.methods.method import Method, MethodStage, Rows
    from pipelines.reporting import Reporter
    from pipelines.training.estimates import Told
    from pipelines.training.loop import Dev
    from pipelines.training.request import DistillRequest, FinetuneRequest


@dataclass
class Models:
    """Models on their device.

    Args:
        student: what is trained; its projections are of no use where there is no teacher.
        teacher: `distill.teacher.Teacher`; None for a method without one.
        teacher_parameters: counted before its weights were packed.
    """

    student: Student
    teacher: Any = None
    teacher_parameters: int = 0


class Job(ABC):
    """One command of a training verb.

    Attributes:
        kind: the verb, as run.json names it.
        afresh: the option that empties its folder.
        served: the kinds of rows that it has.
        first_look: what is quicker than the whole, for advice; empty for `--profile quick`.
        request: what the user asked for.
        cache: what of the teacher's outputs is kept: nothing where there is no teacher.
        method: what is trained, in stages.
        found: what the command has found already.
        tokenizer: of the model; known once `check` has passed.
        layer_map: teacher layers g(1) … g(M); empty without a teacher.
        provisional: whether models or rows stand in for those that an earlier stage of `tinyaug run` will make.
    """

    kind: ClassVar[str]
    served: ClassVar[tuple[Rows, ...]]
    afresh: ClassVar[str] = "--overwrite"
    first_look: ClassVar[str] = ""

    request: FinetuneRequest | DistillRequest | GeneralRequest | PretrainRequest

    def __init__(self, request: Any, method: Method, found: Found, cache: CacheChoice | None = None) -> None:
        for stage in method.stages:
            if stage.rows not in self.served:
                raise UserError(
                    f"expected a method whose stages read {' or '.join(self.served)} rows in `tinyaug {self.kind}`, "
                    f"found {stage.name} of {stage.rows} rows"
                )
        self.request, self.method, self.found = request, method, found
        self.cache = cache or CacheChoice(mode=Keep.off)
        self.tokenizer: Any = None
        self.layer_map: tuple[int, ...] = ()
        self.provisional = False

    @property
    def max_length(self) -> int | None:
        """Tokens at which the saved tokenizer cuts texts; None leaves it as it is."""
        return None

    @abstractmethod
    def check(self, started: Any = None) -> None:
        """Finds everything that the request names and checks what needs no weights.

        Args:
            started: run.json of an earlier start that is gone on with; None without one.

        Raises:
            UserError, AugmentError, DistillError: something cannot be used.
        """

    @abstractmethod
    def identity(self) -> Identity:
        """All that decides what comes of it."""

    @abstractmethod
    def load(self) -> Models:
        """The models as they start, on their device.

        Raises:
            UserError, DistillError: weights that cannot be read or do not fit.
        """

    @abstractmethod
    def prepare(self, storage: Storage, models: Models, reporter: Reporter) -> None:
        """Writes the rows into the folder, unless they lie there."""

    @abstractmethod
    def stream(self, stage: MethodStage, storage: Storage, cached: bool = True) -> ShardStream:
        """Batches of a stage's rows; those that must lie in the folder are written first.

        Args:
            stage: that reads them.
            storage: the folder.
            cached: whether the teacher's outputs for them are kept, so that they must stay as they are.
        """

    @abstractmethod
    def tell(self, storage: Storage, stream: ShardStream) -> Told:
        """What there is to say of rows and models.

        Args:
            storage: folder of the rows.
            stream: of the first stage.
        """

    @abstractmethod
    def card(self, result: Result) -> str:
        """The text of the model's README.md; also of a model between two stages, whose `result` has no metrics."""

    @abstractmethod
    def metrics(self, result: Result) -> Metrics:
        """What metrics.json says beside the files' digests."""

    def sample(self, storage: Storage, folder: str) -> Storage:  # noqa: ARG002
        """Where the rows of a plan lie, or a sample of them, which is made there.

        Args:
            storage: the job's folder.
            folder: that is thrown away.
        """
        return Storage(folder)

    def is_prepared(self, storage: Storage) -> bool:  # noqa: ARG002
        """Whether the rows lie in the folder, once run.json has what was resolved."""
        return True

    def load_student(self, models: Models, folder: str) -> Student:
        """The student that a stage left in a folder, for the next one."""
        raise NotImplementedError

    def rows(self, stream: ShardStream, kind: Rows) -> int:  # noqa: ARG002
        """Rows of a kind that a stage will read, where `stream` is only a sample of what is still to be made."""
        return len(stream)

    def disk_bytes(self) -> int:
        """Bytes of rows that are still to be written."""
        return 0

    def resolve(self, storage: Storage, models: Models, reporter: Reporter) -> Resolved:  # noqa: ARG002
        """What the first start decides or measures beside the driver."""
        return Resolved()

    @property
    def has_dev(self) -> bool:
        """Whether there is a labelled dev part."""
        return False

    def dev(self, storage: Storage) -> Dev | None:  # noqa: ARG002
        """What an epoch is judged on."""
        return None

    def judge(self, model: PreTrainedModel, storage: Storage, reporter: Reporter) -> Scores:  # noqa: ARG002
        """Dev metrics of the trained model."""
        return {}

    def finish(self, model: PreTrainedModel, storage: Storage, reporter: Reporter, taught: bool) -> Scores:
        """Dev metrics of the trained model, which may be made smaller first, in place.

        Args:
            model: as the last stage left it.
            storage: folder of the rows.
            reporter: is told of them.
            taught: whether the last stage was trained; else there is nothing to judge.
        """
        return self.judge(model, storage, reporter) if taught else {}

    def saved(self, model: PreTrainedModel) -> PreTrainedModel:
        """The part of the trained model that is published."""
        return model

    def content(self) -> Any:
        """What run.json says before anything is resolved."""
        parts = (self.request.machine.accumulation or 1) * processes()
        stages = [stage.folder for stage in self.method.stages]
        return run_content(self.kind, self.identity(), stages=stages, parts=parts)

    def refuse_other(self, storage: Storage, started: Any, asked: Any, finished: bool) -> None:
        """Refuses to go on with other settings, data or models than the folder was begun with.

        Raises:
            UserError: naming the fields.
        """
        refuse_other_run(storage, started, asked, finished, self.afresh)

    def usual_parts(self) -> int:
        """Parts that each process cuts its share of a step into where neither the user nor an earlier start says."""
        return 1

    def keep_parts(self, started: Any) -> None:
        """Takes over the parts of a step that an earlier start had, where the processes can share them.

        Dropout is drawn for each part, so a run keeps their number.
        """
        asked: Any = self.request
        if asked.machine.accumulation is None:
            earlier = 0 if asked.overwrite else (started or {}).get("parts") or 0
            each, rest = divmod(earlier, processes())
            parts = each if each and not rest else self.usual_parts()
            self.request = replace(asked, machine=replace(asked.machine, accumulation=parts))
