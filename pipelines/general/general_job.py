"""`tinyaug distill-general`: a student learns an encoder's layers from a text corpus (section 3.2 of the paper)."""

from __future__ import annotations

import csv
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pipelines.corpus.packed import FOLDER, pack_corpus, packed_corpus
from pipelines.distilling.checks import check_disk
from pipelines.distilling.distill_job import cache_root
from pipelines.distilling.session import open_targets
from pipelines.found import Found
from pipelines.general.card import general_card
from pipelines.general.checks import check_general
from pipelines.general.content import KIND, general_content, refuse_other_general, with_general_parts
from pipelines.general.plan import BegunGeneral, plan_general, refuse_by_beginning
from pipelines.general.request import WARMUP_STEPS
from pipelines.general.session import load_models, make_stage, packed_stream
from pipelines.run_folder.run_file import undone_if_refused
from pipelines.run_folder.stage_folder import (
    METRICS,
    RUN,
    drop_checkpoints,
    finished_metrics,
    publish,
    stage_storage,
    started_run,
)
from pipelines.teacher_cache.room import OFF, claim_caches, warn_of_rebuild
from pipelines.training.estimates import is_long
from pipelines.training.finetune_job import Trained
from pipelines.training.loop import train_settings, train_stage
from pipelines.training.ranks import Ranks, wait_for_main
from pipelines.training.saving import save_model
from pipelines.wording import counted, duration, sequences_words

if TYPE_CHECKING:
    from distill.checkpoints import RunState
    from distill.student import Student
    from distill.teacher import Teacher
    from pipelines.corpus.packed import Packed
    from pipelines.general.checks import CheckedGeneral
    from pipelines.general.request import GeneralRequest
    from pipelines.reporting import Reporter
    from pipelines.run_folder.storage import Storage

STAGE = "general"


def run_general(request: GeneralRequest, reporter: Reporter) -> Trained:
    """Distils over a corpus, going on where an earlier run of the same command stopped.

    Args:
        request: what the user asked for.
        reporter: is told of progress.

    Returns:
        What came of it.

    Raises:
        UserError, AugmentError, DistillError: a mistake of the user's; nothing was trained.
        JobError: training failed; the last checkpoint is kept.
    """
    storage = stage_storage(request.out, "a model")
    started = started_run(storage, KIND, overwrite=False)
    request = with_general_parts(request, started)
    checked = check_general(request, Found(), None if request.overwrite else started)
    content = general_content(request, checked)
    ranks = Ranks(request.machine.device == "cpu")
    with ranks.writing(storage, reporter):
        done = None if request.overwrite else finished_metrics(storage)
        ranks.wait()  # all have looked
        if ranks.main:
            started = started_run(storage, KIND, request.overwrite)
            if started is not None:
                refuse_other_general(storage, started, content, done is not None)
            warn_of_rebuild(request.cache, started, reporter)
        if done is not None:
            if ranks.main:
                drop_checkpoints(storage.local_folder() / STAGE)  # a kill may have left some
            return Trained(storage, done, False)
        ranks.wait()
        return _General(request, checked, storage, ranks, reporter).run(content)


class _General:
    """One run, with its models loaded."""

    def __init__(
        self,
        request: GeneralRequest,
        checked: CheckedGeneral,
        storage: Storage,
        ranks: Ranks,
        reporter: Reporter,
    ) -> None:
        self.request, self.checked, self.storage, self.ranks = request, checked, storage, ranks
        self.reporter, self.told = ranks.reporter(reporter), reporter
        self.root, self.caches = storage.local_folder(), cache_root(request, storage)

    def run(self, content: dict[str, Any]) -> Trained:
        """Packs the corpus, then trains the one stage."""
        from distill.folder_lock import folder_lock

        if self.ranks.main:
            self._begin(content)
        else:
            wait_for_main(self.storage, _is_begun, "the packed corpus", self.ranks, self.told)
        self.ranks.wait()
        resolved = (self.storage.read_json(RUN) or {})["resolved"]
        self.reporter.message(f"layer map: the student's layers learn from teacher layers {_listed(resolved)}")
        self.reporter.message(resolved["cache"]["words"])
        kept = resolved["cache"]["content"] != OFF
        with folder_lock(self.caches) if kept and self.ranks.main else nullcontext():
            self.ranks.wait()
            self._train(resolved)
        self.ranks.wait()
        return Trained(self.storage, self.storage.read_json(METRICS) or {}, True)

    def _begin(self, content: dict[str, Any]) -> None:
        """Writes what all ranks then find; on a first start it resolves what run.json keeps for resumes."""
        request, checked, storage = self.request, self.checked, self.storage
        started = storage.read_json(RUN)
        resolved = started is not None and "resolved" in started
        with undone_if_refused(storage, fresh=started is None):  # and not once there is a corpus, the work of hours
            if not resolved:
                storage.write_json(RUN, content)  # first of all: it says whose folder this is
            teacher, student = load_models(request, checked)
            make_stage(request, student, teacher)  # refuses what does not fit before a corpus is read for hours
            if not resolved and packed_corpus(storage) is None:
                refuse_by_beginning(request, checked, teacher, self.root, self.caches)
            packed = self._pack()
        if not resolved:
            storage.write_json(RUN, {**content, "resolved": self._resolved(packed, teacher, student)})

    def _pack(self) -> Packed:
        checked, tokenizer = self.checked, self.checked.teacher.tokenizer
        packed = pack_corpus(self.storage, checked.corpus, tokenizer, checked.shape, self.reporter)
        found = sequences_words(packed.sequences, packed.pairs)
        self.reporter.message(f"corpus: {found}, {counted(packed.tokens, 'token')}")
        return packed

    def _resolved(self, packed: Packed, teacher: Teacher, student: Student) -> dict[str, Any]:
        request = self.request
        begun = BegunGeneral(packed=True)
        plan = plan_general(request, self.checked, teacher, student, self.root, packed, self.caches, begun)
        check_disk(self.caches, plan.estimate.cache_bytes, "the teacher cache")
        check_disk(self.root, plan.estimate.disk_bytes, "checkpoints and models")
        stream = packed_stream(request, self.checked, str(self.root / FOLDER), static=True)
        claim_caches(request.cache, teacher, stream, {plan.cache.content}, self.caches)
        for note in plan.estimate.notes:
            self.reporter.warning(note)
        seconds = plan.estimate.seconds
        if is_long(seconds, request.machine.device):
            self.reporter.warning(
                f"this will take {duration(seconds)} on this machine; for a first look --max-steps 100 or --limit; a "
                "GPU is much faster"
            )
        return {
            "layer_map": self.checked.student.layer_map,
            "student_start": self.checked.student.start,
            "cache": asdict(plan.cache),
            "sequences": packed.sequences,
            "pairs": packed.pairs,
            "tokens": packed.tokens,
            "device": request.machine.device,
            "estimated_seconds": round(seconds, 1),
        }

    def _train(self, resolved: dict[str, Any]) -> None:
        request, recipe, content = self.request, self.request.recipe, resolved["cache"]["content"]
        teacher, student = load_models(request, self.checked)
        stage = make_stage(request, student, teacher)
        stream = packed_stream(request, self.checked, str(self.root / FOLDER), static=content != OFF)
        targets = open_targets(request, teacher, stream, content, self.caches, self.ranks)
        settings = replace(train_settings(recipe, request.machine, request.reading.seed), warmup_steps=WARMUP_STEPS)
        examples = recipe.examples(len(stream), request.reading.seed)
        state = train_stage(stage, stream, targets, self.root / STAGE, settings, None, self.reporter, examples)
        if self.ranks.main:
            self._publish(resolved, state, student)

    def _publish(self, resolved: dict[str, Any], state: RunState, student: Any) -> None:
        masked_lm = self.request.masked_lm.on
        model = student.model if masked_lm else student.model.base_model
        tokenizer, text = self.checked.teacher.tokenizer, self._card(resolved, state)
        files = publish(self.storage, lambda folder: save_model(folder, model, tokenizer, text, student.projections))
        metrics = {
            "sequences": resolved["sequences"],
            "pairs": resolved["pairs"],
            "tokens": resolved["tokens"],
            "steps": state.step,
            "examples": state.examples,
            "seconds": round(state.seconds, 1),
            "losses": _last_losses(self.root / STAGE / "losses.csv"),
            "layer_map": resolved["layer_map"],
            "parameters": model.num_parameters(),
            "files": files,
        }
        self.storage.write_json(METRICS, metrics)
        drop_checkpoints(self.root / STAGE)

    def _card(self, resolved: dict[str, Any], state: RunState) -> str:
        request, config = self.request, self.checked.student.config
        recipe, choice = request.recipe, request.masked_lm
        facts = {
            "teacher": f"`{request.teacher}`",
            "student": f"{config.num_hidden_layers} layers, width {config.hidden_size}, "
            f"{config.num_attention_heads} heads, started from {request.start}, embeddings {request.embeddings}",
            "layer map": _listed(resolved),
            "corpus": f"{sequences_words(resolved['sequences'], resolved['pairs'])} of at most "
            f"{request.reading.max_length} tokens, {resolved['tokens']:,} tokens",
            "training": f"{state.step:,} steps of {recipe.batch_rows} sequences, learning rate {recipe.learning_rate}",
            "losses": ", ".join(
                (request.losses.kinds if request.losses.of_layers else ())
                + ((f"masked LM (weight {choice.weight}, teacher's predictions {choice.soft})",) if choice.on else ())
            ),
            "seed": request.reading.seed,
        }
        about = (
            f"A student of `{request.teacher}` for any task, made by `tinyaug distill-general`: it is to be distilled, "
            "or fine-tuned, for one."
        )
        return general_card(about, facts, choice.on)


def _is_begun(storage: Storage) -> bool:
    """Whether the corpus is packed and all that hangs on it was decided."""
    return packed_corpus(storage) is not None and "resolved" in (storage.read_json(RUN) or {})


def _last_losses(path: Any) -> dict[str, float]:
    """The losses of the last step, by kind."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {kind: float(value) for kind, value in list(rows[-1].items())[4:]}


def _listed(resolved: dict[str, Any]) -> str:
    return ", ".join(str(layer) for layer in resolved["layer_map"])
