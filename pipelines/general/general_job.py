"""`tinyaug distill-general`: a student learns an encoder's layers from a text corpus (section 3.2 of the paper)."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipelines.corpus.hub import HubCorpus
from pipelines.corpus.packed import COLUMNS, FOLDER, pack_corpus, packed_corpus
from pipelines.distilling.distill_job import described, student_settings
from pipelines.general.checks import check_general
from pipelines.general.request import default_accumulation
from pipelines.general.sequences import beginning, whole_corpus
from pipelines.methods.general import general
from pipelines.models.load import load_masked_lm, move
from pipelines.options.models import PROJECTED
from pipelines.run_folder.run_file import refuse_other_run
from pipelines.run_folder.storage import Storage
from pipelines.teacher_cache.decision import CacheQuestion, decide_cache
from pipelines.teacher_cache.targets import cache_root
from pipelines.training.estimates import idle_embeddings_note, layer_map_note
from pipelines.training.job import Identity, Job, Models, Told
from pipelines.training.model_card import encoder_card
from pipelines.training.parts import open_stream
from pipelines.training.plan import check_disk
from pipelines.training.ranks import processes
from pipelines.training.results import Metrics, Resolved
from pipelines.training.teacher_kernel import pack_teacher
from pipelines.wording import sequences_words

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from distill.masking import MaskSettings
    from distill.shards import ShardStream
    from pipelines.found import Found
    from pipelines.general.checks import CheckedGeneral
    from pipelines.general.request import GeneralRequest
    from pipelines.general.sequences import Sequences
    from pipelines.methods.method import MethodStage
    from pipelines.options.teacher_cache import CacheChoice
    from pipelines.reporting import Reporter
    from pipelines.training.results import Result


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


class GeneralJob(Job):
    """The job of `distill-general`.

    Attributes:
        checked: corpus, teacher and student; known once `check` has passed.
        sequences: of the corpus; known once it is packed, or its beginning.
    """

    request: GeneralRequest
    kind, first_look = "distill-general", "--max-steps 100 or --limit"
    checked: CheckedGeneral
    sequences: Sequences

    def __init__(self, request: GeneralRequest, found: Found) -> None:
        super().__init__(general(request), found)
        self.request = request

    @property
    def cache(self) -> CacheChoice:
        """As the user chose."""
        return self.request.cache

    def usual_parts(self) -> int:
        """As many as fit the memory."""
        return default_accumulation(self.request.recipe.batch_rows, self.request.machine.device, processes())

    def check(self, started: Any = None) -> None:
        """Finds corpus, teacher and student."""
        self.checked = check_general(self.request, self.found, started)
        self.tokenizer, self.layer_map = self.checked.teacher.tokenizer, self.checked.student.layer_map

    def identity(self) -> Identity:
        """Method, corpus, teacher and student."""
        request, student, corpus = self.request, self.checked.student, self.request.corpus
        told = student_settings(student.config, student.found is None, request.start, student.layer_map)
        found = {"teacher": self.checked.teacher.found, **({"student": student.found} if student.found else {})}
        return Identity(
            settings={
                "student": {**told, "embeddings": request.embeddings},
                **self.method.settings,
                "corpus": {
                    "column": corpus.column,
                    "limit": corpus.limit,
                    "rows": corpus.rows,
                    "pairs": self.checked.shape.pairs,
                },
                "cache": {"mode": request.cache.mode, "budget": request.cache.budget},
                "reading": asdict(request.reading),
                "precision": request.machine.precision,
            },
            task={"name": "general"},
            inputs={"corpus": self.checked.corpus.inputs()},
            models={role: files.fingerprint for role, files in found.items()},
            sources={
                "corpus": corpus.place,
                "teacher": request.teacher,
                "teacher_revision": self.checked.teacher.found.revision,
                "student": student.shape,
                "student_init": request.start,
            },
        )

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

        request, files, plan = self.request, self.checked.teacher, self.checked.student
        model = load_masked_lm(files.found, files.config, request.masked_lm.soft > 0)
        student = build_student(plan.shape, plan.start, model, plan.layer_map, request.reading.seed, masked_lm=True)
        if request.embeddings == PROJECTED:
            project_embeddings(student, model)
        for one in (model, student.model):
            move(one, request.machine.device)
        teacher = Teacher(model, plan.layer_map, Precision(request.machine.precision), predicts=False)
        models = Models(student, teacher, model.num_parameters())
        pack_teacher(teacher)
        return models

    def prepare(self, storage: Storage, models: Models, reporter: Reporter) -> None:
        """Packs the corpus, unless it lies there undamaged."""
        caches = cache_root(self.request.cache, storage)
        if packed_corpus(storage) is None and not caches.exists() and not isinstance(self.checked.corpus, HubCorpus):
            self._refuse_by_beginning(storage, models)
        packed = pack_corpus(storage, self.checked.corpus, self.tokenizer, self.checked.shape, reporter)
        self.sequences = whole_corpus(packed)

    def _refuse_by_beginning(self, storage: Storage, models: Models) -> None:
        """Refuses by the beginning of a long corpus what its whole would be refused for after hours of packing.

        The beginning tells the size of the whole roughly, so half of it must be too much. Of a data set on the hub it
        tells nothing, nor whether records that lie in a folder of caches are this corpus's own.
        """
        caches, stages = cache_root(self.request.cache, storage), self.method.stages
        with tempfile.TemporaryDirectory(prefix="tinyaug-") as folder:
            self.sequences = beginning(self.checked, Storage(folder))
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
        packed = None if self.request.overwrite else packed_corpus(storage)
        place = storage if packed is not None else Storage(folder)
        self.sequences = whole_corpus(packed) if packed is not None else beginning(self.checked, place)
        return place

    def stream(self, stage: MethodStage, storage: Storage, cached: bool = True) -> ShardStream:
        """Batches of the packed corpus; beside a cache the same tokens are masked in every epoch."""
        from distill.reading import Columns

        columns, reading = Columns(COLUMNS, tokenised=True), self.request.reading
        place, rows = str(storage.local_folder() / FOLDER), stage.recipe.batch_rows
        masking = self._masking(cached)
        return open_stream(place, columns, self.tokenizer, reading.max_length, rows, reading.seed, masking)

    def _masking(self, static: bool) -> MaskSettings | None:
        from distill.masking import MaskSettings

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
        notes = self.sequences.notes(self.checked) + layer_map_note(self.layer_map)
        notes += idle_embeddings_note(self.checked.student.config.vocab_size, len(self.tokenizer))
        return Told((f"corpus: {self.sequences}",), notes)

    def resolve(self, storage: Storage, models: Models, reporter: Reporter) -> Resolved:  # noqa: ARG002
        """Layer map, start, and the size of the corpus."""
        packed, start = self.sequences.packed, self.checked.student.start
        return Resolved(self.layer_map, start, sequences=packed.sequences, pairs=packed.pairs, tokens=packed.tokens)

    def saved(self, model: PreTrainedModel) -> PreTrainedModel:
        """The encoder, with its masked-LM head where that was trained."""
        encoder: Any = model.base_model
        return model if self.request.masked_lm.on else encoder

    def card(self, result: Result) -> str:
        """What it was made of."""
        request, resolved, choice = self.request, result.resolved, self.request.masked_lm
        losses = request.losses.kinds if request.losses.of_layers else ()
        if choice.on:
            losses += (f"masked LM (weight {choice.weight}, teacher's predictions {choice.soft})",)
        [told] = result.stages.values()
        recipe = request.recipe
        facts: dict[str, str | float] = {
            "teacher": f"`{request.teacher}`",
            "student": f"{described(self.checked.student.config)}, started from {request.start}, embeddings "
            f"{request.embeddings}",
            "layer map": ", ".join(map(str, self.layer_map)),
            "corpus": f"{sequences_words(resolved.sequences or 0, resolved.pairs or 0)} of at most "
            f"{request.reading.max_length} tokens, {resolved.tokens:,} tokens",
            "training": f"{told.steps:,} steps of {recipe.batch_rows} sequences, learning rate {recipe.learning_rate}",
            "losses": ", ".join(losses),
            "seed": request.reading.seed,
        }
        about = (
            f"A student of `{request.teacher}` for any task, made by `tinyaug distill-general`: it is to be distilled, "
            "or fine-tuned, for one."
        )
        return encoder_card("General student", about, facts, self.method.tags, masked_lm=choice.on)

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
