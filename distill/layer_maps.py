"""Which teacher layer each student layer learns from, and how much it counts.

TinyBERT: n = g(m) of section 3.1 and Table 7. BERT-PKD: the strategies skip and last. DistilBERT: the
layers that it starts from.
"""

from __future__ import annotations

import math
from enum import StrEnum

from distill.errors import DistillError


class LayerMap(StrEnum):
    """The strategies of Table 7, and DistilBERT's choice; anything else is given as numbers."""

    UNIFORM = "uniform"
    TOP = "top"
    BOTTOM = "bottom"
    DISTILBERT = "distilbert"


# Of 12 layers the authors' code copies 0, 2, 4, 7, 9 and 11, counted from 0: the first and the last are among them.
DISTILBERT_LAYERS = {(6, 12): (1, 3, 5, 8, 10, 12)}


class Patience(StrEnum):
    """The strategies of BERT-PKD: every k-th layer, or the last ones."""

    SKIP = "skip"
    LAST = "last"


def patient_layers(choice: Patience | str, student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    """The teacher layers that student layers 1 … M - 1 learn from in BERT-PKD; the last one learns from the logits.

    Args:
        choice: skip takes layers ⌊m·N/M⌋, evenly spaced (2, 4, 6, 8, 10 for 6 of 12); last takes layers m + N - M,
            those before the last one (7, 8, 9, 10, 11).
        student_layers: M.
        teacher_layers: N.

    Returns:
        M - 1 layer numbers between 1 and N - 1.

    Raises:
        DistillError: unknown choice, a student of fewer than 2 layers or of more than its teacher has.
    """
    if choice not in {*Patience}:
        raise DistillError(f"expected the layers {' or '.join(Patience)}; found {choice!r}. Choose one of them.")
    if student_layers < 2:
        raise DistillError(
            f"expected a student of at least 2 layers for BERT-PKD; found {student_layers}: its last layer has no "
            "patience loss. Give the student more layers."
        )
    chosen = LayerMap.UNIFORM if choice == Patience.SKIP else LayerMap.TOP
    return resolve_layer_map(chosen, student_layers, teacher_layers)[:-1]


def resolve_layer_map(
    choice: LayerMap | str | tuple[int, ...], student_layers: int, teacher_layers: int
) -> tuple[int, ...]:
    """The teacher layers g(1) … g(M); g(0) = 0, the embedding layer, goes without saying.

    Args:
        choice: uniform g(m) = ⌊m·N/M⌋, top g(m) = m + N - M, bottom g(m) = m, distilbert (1, 3, 5, 8, 10, 12 for 6
            of 12, else uniform), or the numbers themselves, as a tuple or as in "3,6,9,12".
        student_layers: M.
        teacher_layers: N.

    Returns:
        M layer numbers between 1 and N.

    Raises:
        DistillError: unknown choice, more student than teacher layers, wrong count or number.
    """
    layers = custom_layers(choice)
    if layers is not None:
        return _checked(layers, student_layers, teacher_layers)
    if not 1 <= student_layers <= teacher_layers:
        raise DistillError(
            f"expected a student of 1 to {teacher_layers} layers, as the teacher has; found {student_layers}. "
            "Give the map as numbers: a custom map may name a layer twice."
        )
    steps = range(1, student_layers + 1)
    if choice == LayerMap.DISTILBERT and (student_layers, teacher_layers) in DISTILBERT_LAYERS:
        return DISTILBERT_LAYERS[student_layers, teacher_layers]
    if choice in (LayerMap.UNIFORM, LayerMap.DISTILBERT):
        return tuple(m * teacher_layers // student_layers for m in steps)
    if choice == LayerMap.TOP:
        return tuple(m + teacher_layers - student_layers for m in steps)
    return tuple(steps)


def custom_layers(choice: LayerMap | str | tuple[int, ...]) -> tuple[int, ...] | None:
    """The numbers of a custom map, or None for a named one; whether they fit the models is another question.

    Raises:
        DistillError: neither.
    """
    if not isinstance(choice, str):
        return tuple(choice)
    if choice in {*LayerMap}:
        return None
    try:
        return tuple(int(part) for part in choice.split(","))
    except ValueError:
        raise DistillError(
            f"expected a layer map {', '.join(LayerMap)} or numbers such as 3,6,9,12; found {choice!r}. "
            "Choose one of them."
        ) from None


def check_count(layers: tuple[int, ...], student_layers: int) -> None:
    """Refuses a custom map that does not name a teacher layer for each of the student's.

    Raises:
        DistillError: it does not.
    """
    if len(layers) != student_layers:
        raise DistillError(
            f"expected {student_layers} layers in the layer map, one a student layer; found {len(layers)}: "
            f"{_listed(layers)}. Name one teacher layer for each student layer."
        )


def check_weight_values(weights: tuple[float, ...]) -> None:
    """Refuses weights λ of Eq. 6 below 0.

    Raises:
        DistillError: naming them.
    """
    if any(not math.isfinite(weight) or weight < 0 for weight in weights):
        raise DistillError(f"expected layer weights of 0 or more; found {_listed(weights)}. The paper uses 1 for each.")


def check_weight_count(weights: tuple[float, ...], student_layers: int) -> None:
    """Refuses weights that are not λ_0 … λ_{M+1} of a student of M layers.

    Raises:
        DistillError: they are not.
    """
    if len(weights) != student_layers + 2:
        raise DistillError(
            f"expected {student_layers + 2} layer weights (embedding, {student_layers} layers, prediction); found "
            f"{len(weights)}. Give one for each."
        )


def _checked(layers: tuple[int, ...], student_layers: int, teacher_layers: int) -> tuple[int, ...]:
    check_count(layers, student_layers)
    if any(not 1 <= layer <= teacher_layers for layer in layers):
        raise DistillError(
            f"expected teacher layers between 1 and {teacher_layers}; found {_listed(layers)}. "
            "Count from 1; 0 is the embedding layer and is always mapped."
        )
    return layers


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
