"""`tinyaug pretrain`: a small BERT learns masked tokens and next sentences from a corpus, from random weights."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from distill.masking import CountedMasking, MaskSettings
from pipelines.corpus.packed import PackedShape
from pipelines.distilling.checks import TeacherFiles, check_vocabulary, naming
from pipelines.distilling.student_job import UNTELLING
from pipelines.general.checks import check_special_tokens, check_text
from pipelines.general.corpus_job import CorpusJob
from pipelines.general.request import PretrainRequest, default_accumulation
from pipelines.methods.bert_small import pretraining
from pipelines.models.load import load_config, load_tokenizer, move, refuse_unfinished
from pipelines.run_folder.run_file import Identity
from pipelines.training.job import Models
from pipelines.training.model_card import pretrained_card
from pipelines.training.ranks import processes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from pipelines.found import Found
    from pipelines.training.results import Result


class PretrainJob(CorpusJob):
    """The job of `pretrain`.

    Attributes:
        files: of the model whose tokenizer, positions and dropout are taken; known once `check` has passed.
        config: of the model that will be made.
    """

    request: PretrainRequest
    kind = "pretrain"
    files: TeacherFiles
    config: PreTrainedConfig

    def __init__(self, request: PretrainRequest, found: Found) -> None:
        super().__init__(request, pretraining(request), found)

    def usual_parts(self) -> int:
        """As many as fit the memory."""
        return default_accumulation(self.request.recipe.batch_rows, self.request.machine.device, processes())

    def check(self, started: Any = None) -> None:
        """Finds corpus and tokenizer; shape, vocabulary and lengths must fit."""
        from pathlib import Path

        from distill.checks import check_length, check_vocabulary_size
        from distill.pretraining import check_pretraining
        from distill.shapes import student_config, take_labels

        request, shape = self.request, self.request.student
        self.find_corpus(started)
        found = self.found.tokenizer(request.tokenizer, request.tokenizer_revision, "tokenizer")
        self.files = TeacherFiles(found, load_config(found), load_tokenizer(found))
        self.tokenizer = self.files.tokenizer
        check_special_tokens(self.files, "mask_token")
        refuse_unfinished(Path(shape), f"student {shape}")
        with naming(f"--student {shape}"):
            self.config = student_config(shape, self.files.config)
            check_pretraining(self.config)
        take_labels(self.config, type(self.config)())  # those of no task
        check_vocabulary(Path(shape), self.files)
        check_vocabulary_size(self.config, self.tokenizer, "student")
        check_length(self.config, request.reading.max_length, "student")
        self.shape = PackedShape(request.reading.max_length, 1.0, request.corpus.limit, next_sentence=True)
        check_text(self.corpus, request.corpus.place, documents=2)

    @property
    def packed_by(self) -> tuple[str, ...]:
        """The tokenizer alone."""
        return ("tokenizer",)

    def identity(self) -> Identity:
        """Recipe, corpus, tokenizer and shape; of the model that the tokenizer is from no weights count."""
        from distill.tokens import tokenizer_fingerprint, tokenizer_json

        request, config = self.request, self.config.to_dict()
        return Identity(
            settings={
                "student": {"config": {name: value for name, value in config.items() if name not in UNTELLING}},
                **self.method.settings,
                "corpus": self.corpus_settings(),
                "reading": asdict(request.reading),
                "precision": request.machine.precision,
            },
            task={"name": "pretraining"},
            inputs={"corpus": [*self.corpus.inputs()]},
            models={"tokenizer": tokenizer_fingerprint(tokenizer_json(self.tokenizer))},
            sources={
                "corpus": request.corpus.place,
                "tokenizer": request.tokenizer,
                "tokenizer_revision": self.files.found.revision,
                "student": request.student,
            },
        )

    def load(self) -> Models:
        """The model with drawn weights and the heads of both losses."""
        from distill.pretraining import new_bert
        from distill.projections import Projections
        from distill.student import Student

        model = new_bert(self.config, self.request.reading.seed)
        move(model, self.request.machine.device)
        return Models(Student(model, Projections(1, 1)))

    def masking(self, static: bool) -> MaskSettings:
        """As BERT's: a number of tokens."""
        return CountedMasking(static=static, mask_token=str(self.tokenizer.mask_token))

    def card(self, result: Result) -> str:
        """What it was made of."""
        config = self.config
        shape = f"{config.num_hidden_layers} layers, width {config.hidden_size}, {config.num_attention_heads} heads"
        facts = {"tokenizer": f"of `{self.request.tokenizer}`", "model": f"{shape}, from random weights"}
        return pretrained_card({**facts, **self.learnt(result)}, self.method.tags)
