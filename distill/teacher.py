"""The teacher, always in eval mode and without gradients, and the outputs that distillation wants of it."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.errors import DistillError
from distill.groups import cut, forward_passes, joined
from distill.inputs import batch_tensors
from distill.outputs import (
    embedding_output,
    encoder_outputs,
    has_known_layers,
    last_states,
    model_logits,
    record_scores,
    recorded_layers,
)
from distill.precision import Precision, autocast, gpu_kernels, resolve_precision
from distill.task_heads import has_task_head, task_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel

    from distill.shards import Batch

TELLING = (
    "model_type", "num_attention_heads", "hidden_act", "activation", "layer_norm_eps", "pad_token_id", "is_decoder",
    "norm_eps", "rms_norm_eps", "hidden_activation", "classifier_pooling", "classifier_activation", "local_attention",
    "layer_types", "rope_parameters", "num_key_value_heads", "use_task_id", "normalization_type",
)  # fmt: skip  # what decides a model's outputs beside its weights, in the families that are supported


@dataclass(frozen=True)
class TeacherTargets:
    """The teacher's outputs for one batch.

    Attributes:
        logits: (B, C), of spans (B, T, 2), or None.
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
    """The tensors (B, T) that the model takes, on its device; no mask where nothing is padded."""
    return batch_tensors(batch, model.device).inputs(model)


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
        self.half_weights: bool | None = None  # None: on a GPU
        self._half: PreTrainedModel | None = None
        self._fingerprint = ""

    def __deepcopy__(self, _memo: object) -> Teacher:
        """Itself: it is frozen, and a stage that makes predictions of it is copied to be timed."""
        return self

    @property
    def precision(self) -> Precision:
        """Of its matrix products, decided: what a cache of its outputs is known by."""
        return resolve_precision(self._precision, self.model.device)

    @property
    def in_half(self) -> bool:
        """Whether a copy of its weights in bf16 runs in its place, whose outputs are near autocast's, not the same."""
        usual = self.model.device.type == "cuda" if self.half_weights is None else self.half_weights
        known = has_known_layers(self.model.config) and (has_task_head(self.model) or not self.predicts)
        return usual and known and self.precision is Precision.BF16

    def note_fingerprint(self) -> str:
        """The digest of its weights as they were at the first call; see weights_fingerprint."""
        self._fingerprint = self._fingerprint or weights_fingerprint(self.model)
        return self._fingerprint

    def targets(self, batch: Batch, wanted: Wanted) -> TeacherTargets:
        """Runs the teacher on a batch; layers return scores only where scores are wanted, and run fused otherwise.

        Whether its logits are finite is not asked here, where it would wait for a GPU; see `check_finite_logits`.
        """
        if self.model.training:  # the caller may have changed the mode of its model
            self.model.eval()
        half = self._half_model()
        model = half or self.model
        inputs = model_inputs(batch.taught, model)
        kernels = gpu_kernels if half else autocast
        with torch.no_grad(), kernels(self.precision, model.device):
            record(model, self.layer_map if wanted.scores else ())
            if not (wanted.hidden or wanted.scores or wanted.cls):
                return TeacherTargets(
                    logits=self._logits(half, inputs) if wanted.logits else None,
                    embedding=embedding_output(model, inputs) if wanted.embedding else None,
                )
            found = encoder_outputs(model, inputs, head=wanted.logits and not half)
            logits = found.logits
            if half and wanted.logits:
                logits = task_logits(self.model, found.hidden[-1].float(), inputs.get("attention_mask"))
            states = [found.hidden[layer] for layer in self.layer_map]
            return TeacherTargets(
                logits=logits,
                hidden=tuple(states) if wanted.hidden else (),
                scores=tuple(found.scores[layer] for layer in self.layer_map) if wanted.scores else (),
                embedding=found.hidden[0] if wanted.embedding else None,
                cls=tuple(state[:, 0] for state in states) if wanted.cls else (),
            )

    def _logits(self, half: PreTrainedModel | None, inputs: dict[str, Tensor]) -> Tensor:
        """The logits (B, C) alone."""
        if half is None:
            return model_logits(self.model, inputs)
        return task_logits(self.model, last_states(half, inputs).float(), inputs.get("attention_mask"))

    def targets_of_group(self, batches: Sequence[Batch], wanted: Wanted) -> list[TeacherTargets]:
        """Runs the teacher on several batches, on those of about one length together; one result a batch."""
        batches = [batch.taught for batch in batches]
        found = [TeacherTargets()] * len(batches)
        for places in forward_passes(batches):
            some = [batches[place] for place in places]
            whole = self.targets(joined(some, self.model.config.pad_token_id or 0), wanted)
            for place, part in zip(places, cut(whole, some), strict=True):
                found[place] = part
        return found

    def _half_model(self) -> PreTrainedModel | None:
        """A copy in bf16 where that pays: autocast would cast every weight anew in every call.

        The task's head stays that of the model itself, in fp32; fp16, in which sums over layers may overflow, and
        families whose head is unknown run under autocast.
        """
        if not self.in_half:
            return None
        device = self.model.device
        if self._half is None or self._half.device != device:
            self._half = copy.deepcopy(self.model).to(torch.bfloat16)
        return self._half


def record(model: PreTrainedModel, layers: Sequence[int]) -> None:
    """Makes a model return the scores of these layers, and of no others, from now on."""
    if recorded_layers(model) != tuple(sorted(set(layers))):
        record_scores(model, layers)


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


def check_finite_logits(logits: NDArray[np.floating], batch: Batch) -> None:
    """Refuses a teacher that is broken.

    Args:
        logits: (B, C), on the host.
        batch: names the rows.

    Raises:
        DistillError: a logit is not a finite number; the message names the row.
    """
    finite = np.isfinite(logits).all(-1)
    if not finite.all():
        at = int(np.argmin(finite))
        raise DistillError(
            f"expected finite teacher logits; found {logits[at].tolist()} for shard {batch.shard[at]}, row "
            f"{batch.row[at]}. The teacher is broken, or overflows in its precision: check it, or use fp32."
        )
