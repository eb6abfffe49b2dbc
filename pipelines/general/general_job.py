"""`tinyaug distill-general`: a student learns an encoder's layers from a text corpus (section 3.2 of the paper)."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distill.masking import MaskSettings
from pipelines.corpus.hub import HubCorpus
from pipelines.corpus.packed import PackedShape, packed_corpus
from pipelines.distilling.checks import find_files
from pipelines.distilling.student_job import StudentJob
from pipelines.general.checks import check_general_teacher, check_prediction_weight, check_text, share_of_pairs
from pipelines.general.corpus_job import CorpusJob
from pipelines.general.request import GeneralRequest, default_accumulation
from pipelines.general.sequences import beginning
from pipelines.methods.names import GENERAL_METHODS
from pipelines.models.load import load_masked_lm, move, pack_teacher
from pipelines.options.models import PROJECTED
from pipelines.run_folder.storage import Storage
from pipelines.teacher_cache.decision import CacheQuestion, decide_cache
from pipelines.teacher_cache.room import check_cache_place
from pipelines.teacher_cache.targets import cache_root
from pipelines.training.job import Models
from pipelines.training.model_card import encoder_card
from pipelines.training.plan import check_disk
from pipelines.training.ranks import processes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from pipelines.found import Found
    from pipelines.reporting import Reporter
    from pipelines.run_folder.run_file import Identity
    from pipelines.training.results import Resolved, Result


class GeneralJob(StudentJob, CorpusJob):
    """The job of `distill-general`."""

    request: GeneralRequest
    kind = "distill-general"

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
        self.find_corpus(started)
        self.teacher = find_files(request.teacher, request.teacher_revision, "teacher", self.found)
        check_general_teacher(request, self.teacher)
        self.plan_student()
        if request.embeddings == PROJECTED:
            check_projectable(self.student.config, self.teacher.config)
        check_prediction_weight(request.losses)
        pairs = share_of_pairs(request.corpus.pairs, self.teacher, self.student)
        self.shape = PackedShape(request.reading.max_length, pairs, request.corpus.limit)
        check_text(self.corpus, request.corpus.place, documents=1)

    def identity(self) -> Identity:
        """Method, corpus, teacher and student."""
        inputs = {"corpus": [*self.corpus.inputs()]}
        found = self.identity_with({"name": "general"}, inputs, {"corpus": self.request.corpus.place})
        found.settings["student"]["embeddings"] = self.request.embeddings
        found.settings["corpus"] = {**self.corpus_settings(), "pairs": self.shape.pairs}
        return found

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
        super().prepare(storage, models, reporter)

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

    def masking(self, static: bool) -> MaskSettings | None:
        """BERT's, where a masked-LM loss counts."""
        if not self.request.masked_lm.on:
            return None
        token = str(self.tokenizer.mask_token)
        return MaskSettings(whole_word=self.request.masked_lm.whole_word, static=static, mask_token=token)

    def resolve(self, storage: Storage, models: Models, reporter: Reporter) -> Resolved:
        """Layer map, start, and the size of the corpus."""
        found = super().resolve(storage, models, reporter)
        return replace(found, layer_map=self.layer_map, student_start=self.student.start)

    def saved(self, model: PreTrainedModel) -> PreTrainedModel:
        """The encoder, with its masked-LM head where that was trained."""
        encoder: Any = model.base_model
        return model if self.request.masked_lm.on else encoder

    def card(self, result: Result) -> str:
        """What it was made of."""
        request = self.request
        facts: dict[str, str | float] = {
            "teacher": f"`{request.teacher}`",
            "student": f"{self.described}, embeddings {request.embeddings}",
            "layer map": ", ".join(map(str, self.layer_map)),
            **self.learnt(result),
        }
        about = (
            f"A student of `{request.teacher}` for any task, made by `tinyaug distill-general`: it is to be distilled, "
            "or fine-tuned, for one."
        )
        return encoder_card("General student", about, facts, self.method.tags, masked_lm=request.masked_lm.on)
