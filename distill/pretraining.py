"""BERT's own pre-training: masked tokens and next sentences, from random weights and without a teacher.

Source: J. Devlin, M.-W. Chang, K. Lee and K. Toutanova, BERT (2018), section 3.1: "the training loss is the sum of the
mean masked LM likelihood and the mean next sentence prediction likelihood" (appendix A.2). Made so are the small BERTs
that TinyBERT is compared with (BERT_SMALL of its Tables 2 and 9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import AutoModelForPreTraining

from distill.errors import DistillError
from distill.families import check_family
from distill.general import example_means, token_logits
from distill.masking import UNMASKED
from distill.objectives import Stage
from distill.outputs import last_states
from distill.weights import random_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from distill.teacher import TeacherTargets


def new_bert(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """A BERT with the heads of pre-training, its weights drawn; in training mode, in float32.

    Args:
        config: of the model; its vocabulary is that of the tokenizer.
        seed: of the weights.

    Raises:
        DistillError: it is of another family, or has embeddings for one segment alone.
    """
    check_pretraining(config)
    return random_model(config, seed, AutoModelForPreTraining).train()


def check_pretraining(config: PreTrainedConfig) -> None:
    """Refuses what cannot learn masked tokens and next sentences.

    Raises:
        DistillError: it is of another family, or has embeddings for one segment alone.
    """
    check_family(config)
    segments = getattr(config, "type_vocab_size", 0)
    if config.model_type != "bert" or segments < 2:
        raise DistillError(
            f"expected a BERT with embeddings for two segments, for next-sentence prediction; found type "
            f"{config.model_type} with type_vocab_size {segments}. Give another config.json or tokenizer."
        )


class PretrainingStage(Stage):
    """Masked LM and next-sentence prediction; trains the whole model.

    Args:
        model: a BERT with both heads, as `new_bert` makes it.
    """

    name = "pretraining"

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        targets: TeacherTargets,  # noqa: ARG002 - there is no teacher
        labels: Tensor | None,
    ) -> dict[str, Tensor]:
        """Losses "mlm", the mean over an example's masked tokens, and "nsp", each (B,), without weights.

        BERT takes the mean over the masked tokens of a whole batch; here each sequence counts alike, as everywhere in
        this package.

        Args:
            inputs: what the model takes, (B, T) each.
            targets: go unused.
            labels: (3, P): row, column and id of each masked token, and fillers, as `masking.masked_places` gives them;
                in column 0 the label of the pair: 0 where B continues A, else 1.

        Raises:
            DistillError: no labels of tokens.
        """
        if labels is None or labels.ndim != 2:
            raise DistillError("expected masked tokens and labels of pairs; found none. Give the stream a masking.")
        rows, columns, ids = labels
        known, of_pair = ids != UNMASKED, columns == 0
        model: Any = self.model
        states, examples = last_states(model, inputs), len(inputs["input_ids"])
        tokens = token_logits(model.cls.predictions, states[rows, columns]).float()
        pairs = model.cls.seq_relationship(model.base_model.pooler(states)).float()[rows]  # (P, 2)
        losses: dict[str, Tensor] = {}
        for name, logits, own in (("mlm", tokens, known & ~of_pair), ("nsp", pairs, known & of_pair)):
            wanted = ids.masked_fill(~own, UNMASKED)
            values = nn.functional.cross_entropy(logits, wanted, reduction="none", ignore_index=UNMASKED)
            losses[name] = example_means(values, rows, own, examples)
        return losses
