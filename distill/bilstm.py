"""BiLSTM_soft: a student of word vectors and one bidirectional LSTM layer, which learns its teacher's logits.

Source: R. Tang, Y. Lu, L. Liu, L. Mou, O. Vechtomova and J. Lin, Distilling Task-Specific Knowledge from BERT into
Simple Neural Networks (arXiv 1903.12136, 2019), and the authors' code (castorini/d-bert: BiRNNModel, SiameseRNNModel
and the loss of distill_birnn.py). Importing this module makes transformers' automatic classes load such a student, as
they load any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from distill.errors import DistillError
from distill.losses import score_loss
from distill.objectives import Stage, check_equal_labels, given
from distill.outputs import model_logits
from distill.projections import Projections
from distill.student import Student
from distill.teacher import Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from distill.teacher import Teacher, TeacherTargets


class BiLstmConfig(PreTrainedConfig):
    """The sizes of a student; those of the paper where nothing else is given.

    Attributes:
        vocab_size: words with a vector, special ones included.
        embedding_size: numbers of a vector.
        hidden_size: LSTM units a direction.
        relu_units: of the layer before the classifier.
        pairs: whether it compares two texts.
    """

    model_type = "bilstm-soft"

    vocab_size: int = 30_522
    embedding_size: int = 300
    hidden_size: int = 150
    relu_units: int = 400
    pairs: bool = False
    pad_token_id: int = 0
    sep_token_id: int = 2  # of the end of a text, and all of a second one that is not there
    num_hidden_layers: int = 1
    type_vocab_size: int = 2  # the second text of a pair is told by its segment


class BiLstmForSequenceClassification(PreTrainedModel):
    """Word vectors, a bidirectional LSTM, a layer of rectified linear units, a linear classifier.

    Of a pair (a, b) both texts go through the same LSTM, and the layer takes [a, b, |a - b|, a * b] of their states.

    Args:
        config: its sizes.
    """

    config_class = BiLstmConfig
    base_model_prefix = "bilstm"

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__(config)
        width, parts = 2 * config.hidden_size, 4 if config.pairs else 1
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size, config.pad_token_id)
        self.lstm = nn.LSTM(config.embedding_size, config.hidden_size, batch_first=True, bidirectional=True)
        self.pre_classifier = nn.Linear(parts * width, config.relu_units)
        self.classifier = nn.Linear(config.relu_units, config.num_labels or 1)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leaves torch's own initial values."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Logits (B, C), in float32 whatever autocast says: the model is small, and its recurrence long.

        Args:
            input_ids: (B, T), padded on the right.
            attention_mask: (B, T), 1 at own positions; None where nothing is padded.
            token_type_ids: (B, T), 1 at the second text of a pair, which follows the first.
        """
        with torch.autocast(input_ids.device.type, enabled=False):
            own = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            if not self.config.pairs:
                found = self._state(input_ids, own.sum(1))
            else:
                types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
                first, second = self._states_of_pairs(input_ids, (own * (1 - types)).sum(1), own.sum(1))
                found = torch.cat([first, second, (first - second).abs(), first * second], 1)
            hidden = nn.functional.relu(self.pre_classifier(found))
            return SequenceClassifierOutput(logits=self.classifier(hidden))

    def _states_of_pairs(self, ids: Tensor, first: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
        """The states (B, 2 h) of both texts, by the tokens (B,) of the first and of both."""
        width = ids.shape[1]
        columns = torch.arange(width, device=ids.device)[None, :] + first[:, None]
        shifted = ids.gather(1, columns.clamp(max=width - 1))  # the second text from the first column on
        shifted = shifted.masked_fill((whole <= first)[:, None], self.config.sep_token_id)
        a, b = self._state(torch.cat([ids, shifted]), torch.cat([first, whole - first])).chunk(2)
        return a, b

    def _state(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The last states of both directions (B, 2 h) for ids (B, T); a text without tokens counts as one token."""
        packed = pack_padded_sequence(
            self.embeddings(ids), lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        _, (last, _) = self.lstm(packed)  # (2, B, h)
        return torch.cat([last[0], last[1]], 1)


AutoConfig.register(BiLstmConfig.model_type, BiLstmConfig)
AutoModelForSequenceClassification.register(BiLstmConfig, BiLstmForSequenceClassification)


def build_bilstm(config: BiLstmConfig, vectors: NDArray[np.float32], seed: int = 0) -> Student:
    """A student whose embeddings are word vectors, which are trained on; the caller's random state is left as it was.

    Args:
        config: with labels.
        vectors: (V, d), a row for each id of the vocabulary.
        seed: of all other weights.

    Returns:
        The student, in training mode.

    Raises:
        DistillError: the vectors are not as the configuration says.
    """
    if vectors.shape != (config.vocab_size, config.embedding_size):
        raise DistillError(
            f"expected vectors {(config.vocab_size, config.embedding_size)}; found {vectors.shape}. Give a row for "
            "each id of the vocabulary."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BiLstmForSequenceClassification(config)
    with torch.no_grad():
        model.embeddings.weight.copy_(torch.from_numpy(vectors))
    return Student(model.train(), Projections(1, 1))


class BiLstmStage(Stage):
    """Logits of the teacher, by their squared distance; trains the whole model, its word vectors included.

    The authors' code can add the cross-entropy of the labels; here there is none, since what augmented rows say may no
    longer be their label.

    Args:
        student: of `build_bilstm`.
        teacher: any classifier; the number of labels is checked.

    Raises:
        DistillError: numbers of labels differ.
    """

    name = "bilstm-soft"
    wanted = Wanted(logits=True)
    captured = False  # lengths of texts are asked of the device

    def __init__(self, student: Student, teacher: Teacher) -> None:
        check_equal_labels(student, teacher)
        super().__init__(student.model)

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        targets: TeacherTargets,
        labels: Tensor | None,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """The loss "prediction"; labels go unused."""
        return {"prediction": score_loss(model_logits(self.model, inputs), given(targets.logits))}
