"""The teacher, always in eval mode and without gradients, and the outputs that distillation wants of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch

from distill.errors import DistillError
from distill.outputs import embedding_output, encoder_outputs, model_logits, record_scores, recorded_layers
from distill.precision import Precision, autocast, resolve_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from transformers import PreTrainedModel

    from distill.shards import Batch

TELLING = (
    "model_type", "num_attention_heads", "hidden_act", "activation", "layer_norm_eps", "pad_token_id", "is_decoder",
)  # fmt: skip  # what decides a model's outputs beside its weights, in the families that are supported


@dataclass(frozen=True)
class TeacherTargets:
    """The teacher's outputs for one batch.

    Attributes:
        logits: (B, C), or None.
        hidden: hidden states (B, T, d) of teacher layers g(1) … g(M); empty when not wanted.
        scores: raw attention scores (B, h, T, T) of the same layers; empty when not wanted.
        embedding: output of the embedding layer (B, T, d), or None.
        cls: hidden states (B, d) of the first token at the same layers; empty when not wanted.
    """

    logits: Tensor | None = None
    hidden: tuple[Tensor, ...] = ()
    scores: tuple[Tensor, ...] = ()
    embedding: Tensor | None = None
    cls: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """The targets that a stage uses.

    Attributes:
        logits: the prediction (Eq. 10).
        hidden: hidden states of the mapped layers (Eq. 8).
        scores: raw attention scores of the mapped layers (Eq. 7).
        embedding: the embedding output (Eq. 9).
        cls: hidden states of the first token, [CLS], at the mapped layers (BERT-PKD).
    """

    logits: bool = False
    hidden: bool = False
    scores: bool = False
    embedding: bool = False
    cls: bool = False

    def __or__(self, other: Wanted) -> Wanted:
        """The targets that either uses."""
        return Wanted(*(getattr(self, one.name) or getattr(other, one.name) for one in fields(self)))


def model_inputs(batch: Batch, model: PreTrainedModel) -> dict[str, Tensor]:
    """The tensors (B, T) that the model takes, on its device."""
    arrays = {"input_ids": batch.ids, "attention_mask": batch.mask}
    if getattr(model.config, "type_vocab_size", 0) > 1:
        arrays["token_type_ids"] = batch.types
    return {name: torch.from_numpy(array).to(model.device) for name, array in arrays.items()}


class Teacher:
    """A frozen model and its layers that the student learns from.

    Args:
        model: an encoder with its task head; changed in place (eval mode, no gradients, attention function).
        layer_map: teacher layers g(1) … g(M); empty for the prediction alone.
        precision: precision of matrix products; AUTO follows the model's device.
        predicts: whether it has classes or a score to learn from; false for general distillation.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        layer_map: Sequence[int] = (),
        precision: Precision = Precision.AUTO,
        predicts: bool = True,
    ) -> None:
        record_scores(model, layer_map)  # refuses layers that the model does not have
        record_scores(model, ())
        self.model = model.eval().requires_grad_(False)
        self.layer_map = tuple(layer_map)
        self._precision = precision
        self.predicts = predicts
        self._fingerprint = ""

    def __deepcopy__(self, _memo: object) -> Teacher:
        """Itself: it is frozen, and a stage that makes predictions of it is copied to be timed."""
        return self

    @property
    def precision(self) -> Precision:
        """Of its matrix products, decided: what a cache of its outputs is known by."""
        return resolve_precision(self._precision, self.model.device)

    def note_fingerprint(self) -> str:
        """The digest of its weights as they were at the first call; see weights_fingerprint."""
        self._fingerprint = self._fingerprint or weights_fingerprint(self.model)
        return self._fingerprint

    def targets(self, batch: Batch, wanted: Wanted) -> TeacherTargets:
        """Runs the teacher on a batch; layers return scores only where scores are wanted, and run fused otherwise.

        Raises:
            DistillError: a logit is not a finite number; the message names the row.
        """
        self.model.eval()  # the caller may have changed the mode of its model
        inputs = model_inputs(batch, self.model)
        with torch.no_grad(), autocast(self.precision, self.model.device):
            self._record(self.layer_map if wanted.scores else ())
            if wanted.hidden or wanted.scores or wanted.cls:
                found = encoder_outputs(self.model, inputs, head=wanted.logits)
                states = [found.hidden[layer] for layer in self.layer_map]
                targets = TeacherTargets(
                    logits=found.logits,
                    hidden=tuple(states) if wanted.hidden else (),
                    scores=tuple(found.scores[layer] for layer in self.layer_map) if wanted.scores else (),
                    embedding=found.hidden[0] if wanted.embedding else None,
                    cls=tuple(state[:, 0] for state in states) if wanted.cls else (),
                )
            else:
                targets = TeacherTargets(
                    logits=model_logits(self.model, inputs) if wanted.logits else None,
                    embedding=embedding_output(self.model, inputs) if wanted.embedding else None,
                )
        if targets.logits is not None:
            _check_finite(targets.logits, batch)
        return targets

    def _record(self, layers: Sequence[int]) -> None:
        """Makes the model return the scores of these layers, and of no others, from now on."""
        if recorded_layers(self.model) != tuple(sorted(set(layers))):
            record_scores(self.model, layers)


def weights_fingerprint(model: PreTrainedModel) -> str:
    """Digest of every weight, by name, type, shape and bytes, and of the configuration that decides outputs."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for name in TELLING:
        value = getattr(model.config, name, None)
        if value is not None and value is not False:  # another version of transformers may leave it out
            digest.update(f"{name}={value}\n".encode())
    return digest.hexdigest()


def _check_finite(logits: Tensor, batch: Batch) -> None:
    finite = torch.isfinite(logits).all(-1)
    if not bool(finite.all()):
        at = int(torch.nonzero(~finite)[0])
        raise DistillError(
            f"expected finite teacher logits; found {logits[at].tolist()} for shard {batch.shard[at]}, row "
            f"{batch.row[at]}. The teacher is broken, or overflows in its precision: check it, or use fp32."
        )
