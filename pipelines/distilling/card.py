"""The card of a distilled student."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.distilling.content import INTERMEDIATE, PREDICTION
from pipelines.run_folder.address import shown_address
from pipelines.training.cut_texts import shown_share
from pipelines.training.model_card import card

if TYPE_CHECKING:
    from distill.metrics import Scores
    from pipelines.distilling.checks import CheckedDistill
    from pipelines.training.request import DistillRequest


def student_card(
    request: DistillRequest, checked: CheckedDistill, found: Scores, about: str, truncated: float | None
) -> str:
    """The text of a student's README.md.

    Args:
        request: what the user asked for.
        checked: its parts.
        found: dev part -> metric -> value.
        about: a sentence or two.
        truncated: share of the texts that are longer than the student is given; None where it is not known.
    """
    rows = request.train and shown_address(request.train)
    config, task = checked.student.config, checked.data.task
    longer = "" if truncated is None else f" (longer: {shown_share(truncated)} of the texts)"
    facts = {
        "teacher": f"`{request.teacher}`",
        "student": f"{config.num_hidden_layers} layers, width {config.hidden_size}, "
        f"{config.num_attention_heads} heads, started from {request.start}",
        "layer map": listed_layers(checked.student.layer_map),
        "learnt from": rows or f"the train part of {task.name}",
        **{name: f"{r.epochs} epochs, batch {r.batch_rows}, learning rate {r.learning_rate}"
           + (f", at most {r.max_steps} steps" if r.max_steps else "")
           for name, r in ((INTERMEDIATE, request.intermediate), (PREDICTION, request.prediction))},
        "max_length": f"{request.reading.max_length}{longer}",
        "seed": request.reading.seed,
    }  # fmt: skip
    return card(f"{task.name} student", about, task, found, facts, ("knowledge-distillation", "tinybert"))


def listed_layers(layers: tuple[int, ...]) -> str:
    """Numbers of layers as a message has them."""
    return ", ".join(str(layer) for layer in layers)
