"""A student's embeddings from the principal components of its teacher's, and W_e to go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from distill.checks import check_equal_embeddings, usable_positions
from distill.errors import DistillError
from distill.outputs import embedding_output

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

    from distill.projections import Projections
    from distill.student import Student

SAMPLE = 32_768  # (token, position) pairs that W_e is fitted to
FITTED_POSITIONS = 128
RANK_TOLERANCE = 1e-9
NOT_PROJECTED = ("electra", "mobilebert", "modernbert", "eurobert", "nomic_bert")  # narrow, or no positions


def principal_components(matrix: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean (d,) and the first principal components (d, count) of the rows of a matrix (V, d), in float64.

    The sign of a component makes its largest entry positive, so that the result does not depend on the library.
    """
    rows = matrix.detach().cpu().double()
    mean = rows.mean(0)
    _, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean))  # ascending
    chosen = vectors.flip(1)[:, :count]
    largest = chosen.gather(0, chosen.abs().argmax(0, keepdim=True))
    return mean, chosen * largest.sign()


@torch.no_grad()
def project_embeddings(student: Student, teacher: PreTrainedModel) -> None:
    """Starts word, position and segment embeddings and W_e where the embedding loss (Eq. 9) is small already.

    The word embeddings are mapped to the first d' principal components of the teacher's, scaled to its standard
    deviation; positions and segments by the same map. W_e is the least-squares solution between the embedding
    layers' outputs, each after its own normalisation, over tokens and positions.

    Args:
        student: changed in place; its widths may be smaller than the teacher's or equal.
        teacher: of the same family and vocabulary.

    Raises:
        DistillError: another family, a wider student, another number of tokens.
    """
    check_projectable(student.model.config, teacher.config)
    theirs, mine = teacher.base_model.embeddings, student.model.base_model.embeddings
    width = student.model.config.hidden_size
    words = cast("Tensor", cast("Any", theirs).word_embeddings.weight)
    mean, components = principal_components(words, width)
    wanted = words.double().cpu().std(0).square().mean().sqrt()
    scale = wanted / ((words.double().cpu() - mean) @ components).std(0).square().mean().sqrt()

    def projected(matrix: Tensor) -> Tensor:
        return (matrix.detach().cpu().double() @ components * scale).float()

    _fill(mine, "word_embeddings", projected(words.cpu() - mean))
    added = ["position_embeddings"] + ["token_type_embeddings"] * hasattr(mine, "token_type_embeddings")
    for name in added:  # the mean that the words lost goes to the last, which is added to every one of them
        matrix = getattr(theirs, name).weight.cpu()
        _fill(mine, name, projected(matrix + mean if name == added[-1] else matrix))
    _fit(student.projections, student.model, teacher)


def check_projectable(mine: PreTrainedConfig, theirs: PreTrainedConfig) -> None:
    """Refuses a student whose embeddings cannot be projected from its teacher's.

    Args:
        mine: the student's configuration.
        theirs: the teacher's.

    Raises:
        DistillError: another family, one without embeddings of words and positions in its own width, a wider student,
            another number of tokens.
    """
    if mine.model_type != theirs.model_type or mine.model_type in NOT_PROJECTED:
        raise DistillError(
            f"expected student and teacher of one family, and none of {', '.join(NOT_PROJECTED)}, to project "
            f"embeddings; found {mine.model_type} and {theirs.model_type}. Start with random embeddings."
        )
    if mine.hidden_size > theirs.hidden_size:
        raise DistillError(
            f"expected a student no wider than its teacher ({theirs.hidden_size}) to project embeddings; found "
            f"{mine.hidden_size}. Start with random embeddings."
        )
    check_equal_embeddings(mine, theirs)


def _fill(embeddings: Any, name: str, values: Tensor) -> None:
    """Sets as many rows as both have: a student may know fewer positions, or more, which stay as drawn."""
    target = getattr(embeddings, name).weight
    rows = min(len(target), len(values))
    target[:rows] = values[:rows].to(target)


def _fit(projections: Projections, student: PreTrainedModel, teacher: PreTrainedModel) -> None:
    """W_e by least squares over tokens and positions that both know."""
    length = min(FITTED_POSITIONS, *(usable_positions(model.config) for model in (student, teacher)))
    tokens = torch.arange(SAMPLE) * 7919 % int(student.config.vocab_size)  # spread over the vocabulary
    ids = tokens[: SAMPLE // length * length].view(-1, length)
    outputs = [_embedded(model, ids) for model in (student, teacher)]
    square, cross = outputs[0].T @ outputs[0], outputs[0].T @ outputs[1]
    # A normalised output has mean 0, so its square is singular.
    solution = torch.linalg.pinv(square, rtol=RANK_TOLERANCE, hermitian=True) @ cross  # (d', d)
    projections.W_e.copy_(solution.to(projections.W_e))


def _embedded(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The embedding layer's output without dropout, (tokens, width)."""
    training = model.training
    model.eval()
    found = embedding_output(model, {"input_ids": ids.to(model.device)})
    model.train(training)
    return found.flatten(0, 1).double().cpu()
