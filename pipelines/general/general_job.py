"""`tinyaug distill-general`: a student learns an encoder's layers from a text corpus (section 3.2 of the paper)."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distill.masking import MaskSettings
from pipelines.corpus.hub import HubCorpus, open_corpus
from pipelines.corpus.packed import COLUMNS, FOLDER, PackedShape, pack_corpus, packed_corpus
from pipelines.distilling.checks import find_files
from pipelines.distilling.student_job import StudentJob
from pipelines.general.checks import check_general_teacher, check_prediction_weight, share_of_pairs
from pipelines.general.request import GeneralRequest, default_accumulation
from pipelines.general.sequences import Sequences, beginning, whole_corpus
from pipelines.methods.method import Rows
from pipelines.methods.names import GENERAL_METHODS
from pipelines.models.load import load_masked_lm, move, pack_teacher
from pipelines.options.models import PROJECTED
from pipelines.run_folder.run_file import Identity, refuse_other_run
from pipelines.run_folder.storage import Storage
from pipelines.teacher_cache.decision import CacheQuestion, decide_cache
from pipelines.teacher_cache.room import check_cache_place
from pipelines.teacher_cache.targets import cache_root
from pipelines.training.estimates import Told
from pipelines.training.job import Models
from pipelines.training.model_card import encoder_card
from pipelines.training.parts import open_stream
from pipelines.training.plan import check_disk
from pipelines.training.ranks import processes
from pipelines.training.results import Metrics, Resolved, Result
from pipelines.wording import sequences_words

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.shards import ShardStream
    from pipelines.corpus.files import FileCorpus
    from pipelines.found import Found
    from pipelines.methods.method import MethodStage
    from pipelines.reporting import Reporter


@dataclass(frozen=True)
class GeneralMetrics(Metrics):
    """What metrics.json says.

    Args:
        sequences, pairs, tokens: of the packed corpus.
        steps: done.
        examples: seen.
        seconds: that they took.
        graph_steps: of them, that ran as CUDA graphs.
        losses: of the last step, by kind.
        layer_map: teacher layers that the student's learnt from.
        parameters: of the student.
    """

    sequences: int | None
    pairs: int | None
    tokens: int | None
    steps: int
    examples: int
    seconds: float
    graph_steps: int
    losses: dict[str, float]
    layer_map: tuple[int, ...] | None
    parameters: int


class GeneralJob(StudentJob):
    """The job of `distill-general`.

    Attributes:
        corpus: what is learnt from; known once `check` has passed, as what follows.
        shape: what it is packed into.
        sequences: of the corpus; known once it is packed, or its beginning.
    """

    request: GeneralRequest
    kind, served, first_look = "distill-general", (Rows.CORPUS,), "--max-steps 100 or --limit"
    corpus: FileCorpus | HubCorpus
    shape: PackedShape
    sequences: Sequences

    def __init__(self, request: GeneralRequest, found: Found) -> None:
        super().__init__(request, GENERAL_METHODS[request.method].build(request), found, request.cache)

    def usual_parts(self) -> int:
        """As many as fit the memory."""
        weight = GENERAL_METHODS[self.request.method].weight_in_memory
        return default_accumulation(self.request.recipe.batch_rows, self.request.machine.device, processes(), weight)

    def check(self, started: Any = None) -> None:
        """Finds corpus, teacher and student; vocabularies, heads, lengths and layer map must fit."""
        from distill.embedding_init import check_projectable

        request = self.request
        check_cache_place(request.cache)
        self.corpus = open_corpus(request.corpus, started)
        self.teacher = find_files(request.teacher, request.teacher_revision, "teacher", self.found)
        check_general_teacher(request, self.teacher)
        self.plan_student()
        if request.embeddings == PROJECTED:
            check_projectable(self.student.config, self.teacher.config)
        check_prediction_weight(request.losses)
        pairs = share_of_pairs(request.corpus.pairs, self.teacher, self.student)
        self.shape = PackedShape(request.reading.max_length, pairs, request.corpus.limit)

    def identity(self) -> Identity:
        """Method, corpus, teacher and student."""
        corpus, inputs = self.request.corpus, {"corpus": [*self.corpus.inputs()]}
        found = self.identity_with({"name": "general"}, inputs, {"corpus": corpus.place})
        found.settings["student"]["embeddings"] = self.request.embeddings
        found.settings["corpus"] = {
            "column": corpus.column,
            "limit": corpus.limit,
            "rows": corpus.rows,
            "pairs": self.shape.pairs,
        }
        return found

    def refuse_other(self, storage: Storage, started: Any, asked: Any, finished: bool) -> None:
        """As for every job; before anything is resolved only what the corpus is packed by has to be the same.

        A start that was refused then, for its cache as an example, goes on with what it was told to change.
        """
        if "resolved" not in started:
            there, now = started["settings"], asked["settings"]
            reading = {**now["reading"], "max_length": there["reading"]["max_length"]}
            models = {**asked["models"], "teacher": started["models"]["teacher"]}
            kept = {name: started[name] for name in ("inputs", "versions")}
            settings = {**now, "corpus": there["corpus"], "reading": reading}
            started = {**asked, **kept, "models": models, "settings": settings}
        refuse_other_run(storage, started, asked, finished)

    def load(self) -> Models:
        """Teacher and student, both with a masked-LM head."""
        from distill.embedding_init import project_embeddings
        from distill.student import build_student
        from distill.teacher import Precision, Teacher

        request, files, plan = self.request, self.teacher, self.student
        model = load_masked_lm(files.found, files.config, request.masked_lm.soft > 0)
        student = build_student(plan.shape, plan.start, model, plan.layer_map, request.reading.seed, masked_lm=True)
        if request.embeddings == PROJECTED:
            project_embeddings(student, model)
        for one in (model, student.model):
            move(one, request.machine.device)
        teacher = Teacher(model, self.layer_map, Precision(request.machine.precision), predicts=False)
        models = Models(student, teacher, model.num_parameters())
        pack_teacher(teacher)
        return models

    def prepare(self, storage: Storage, models: Models, reporter: Reporter) -> None:
        """Packs the corpus, unless it lies there undamaged."""
        caches = cache_root(self.request.cache, storage)
        if packed_corpus(storage) is None and not caches.exists() and not isinstance(self.corpus, HubCorpus):
            self._refuse_by_beginning(storage, models)
        packed = pack_corpus(storage, self.corpus, self.tokenizer, self.shape, reporter)
        self.sequences = whole_corpus(packed)

    def _refuse_by_beginning(self, storage: Storage, models: Models) -> None:
        """Refuses by the beginning of a long corpus what its whole would be refused for after hours of packing.

        The beginning tells the size of the whole roughly, so half of it must be too much. Of a data set on the hub it
        tells nothing, nor whether records that lie in a folder of caches are this corpus's own.
        """
        caches, stages = cache_root(self.request.cache, storage), self.method.stages
        with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
            self.sequences = beginning(self.corpus, self.shape, self.tokenizer, Storage(folder))
            if self.sequences.known:
                return
            stream, half = self.stream(stages[0], Storage(folder)), self.sequences.count // 2
            asked = CacheQuestion(self.request.cache, stages, models.teacher, stream, caches, half)
            decision = decide_cache(asked)
        check_disk(caches, decision.bytes, "the teacher cache")
        check_disk(storage.local_folder(), self.sequences.bytes_to_come // 2, "the packed corpus")

    def is_prepared(self, storage: Storage) -> bool:
        """Whether the corpus is packed."""
        return packed_corpus(storage) is not None

    def sample(self, storage: Storage, folder: str) -> Storage:
        """The packed corpus; where there is none, its beginning in a folder that is thrown away."""
        if not self.request.overwrite and (packed := packed_corpus(storage)) is not None:
            self.sequences = whole_corpus(packed)
            return storage
        self.sequences = beginning(self.corpus, self.shape, self.tokenizer, Storage(folder))
        return Storage(folder)

    def stream(self, stage: MethodStage, storage: Storage, cached: bool = True) -> ShardStream:
        """Batches of the packed corpus; beside a cache the same tokens are masked in every epoch."""
        from distill.reading import Columns

        columns, reading = Columns(COLUMNS, tokenised=True), self.request.reading
        place, rows = str(storage.local_folder() / FOLDER), stage.recipe.batch_rows
        masking = self._masking(cached)
        return open_stream(place, columns, self.tokenizer, reading.max_length, rows, reading.seed, masking)

    def _masking(self, static: bool) -> MaskSettings | None:
        if not self.request.masked_lm.on:
            return None
        token = str(self.tokenizer.mask_token)
        return MaskSettings(whole_word=self.request.masked_lm.whole_word, static=static, mask_token=token)

    def rows(self, stream: ShardStream) -> int:  # noqa: ARG002
        """Sequences of the whole corpus."""
        return self.sequences.count

    def disk_bytes(self) -> int:
        """Bytes of the corpus that is still to be packed."""
        return self.sequences.bytes_to_come

    def tell(self, storage: Storage, stream: ShardStream) -> Told:  # noqa: ARG002
        """How large the corpus is, and what the user may not have meant."""
        notes = self.sequences.notes(self.corpus, self.shape, self.request.corpus.rows)
        return Told((f"corpus: {self.sequences}",), notes + self.notes())

    def resolve(self, storage: Storage, models: Models, reporter: Reporter) -> Resolved:  # noqa: ARG002
        """Layer map, start, and the size of the corpus."""
        packed, start = self.sequences.packed, self.student.start
        return Resolved(self.layer_map, start, sequences=packed.sequences, pairs=packed.pairs, tokens=packed.tokens)

    def saved(self, model: PreTrainedModel) -> PreTrainedModel:
        """The encoder, with its masked-LM head where that was trained."""
        encoder: Any = model.base_model
        return model if self.request.masked_lm.on else encoder

    def card(self, result: Result) -> str:
        """What it was made of."""
        request, resolved = self.request, result.resolved
        [told] = result.stages.values()
        recipe = request.recipe
        facts: dict[str, str | float] = {
            "teacher": f"`{request.teacher}`",
            "student": f"{self.described}, embeddings {request.embeddings}",
            "layer map": ", ".join(map(str, self.layer_map)),
            "corpus": f"{sequences_words(resolved.sequences or 0, resolved.pairs or 0)} of at most "
            f"{request.reading.max_length} tokens, {resolved.tokens:,} tokens",
            "training": f"{told.steps:,} steps of {recipe.batch_rows} sequences, learning rate {recipe.learning_rate}",
            **self.method.facts,
            "seed": request.reading.seed,
        }
        about = (
            f"A student of `{request.teacher}` for any task, made by `tinyaug distill-general`: it is to be distilled, "
            "or fine-tuned, for one."
        )
        return encoder_card("General student", about, facts, self.method.tags, masked_lm=request.masked_lm.on)

    def metrics(self, result: Result) -> GeneralMetrics:
        """Size of the corpus and losses of the last step."""
        resolved, [told] = result.resolved, result.stages.values()
        with (result.folder / self.method.stages[0].folder / "losses.csv").open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        return GeneralMetrics(
            sequences=resolved.sequences,
            pairs=resolved.pairs,
            tokens=resolved.tokens,
            steps=told.steps,
            examples=told.examples,
            seconds=told.seconds,
            graph_steps=told.graph_steps,
            losses={kind: float(value) for kind, value in list(last.items())[4:]},
            layer_map=resolved.layer_map,
            parameters=result.parameters,
        )
