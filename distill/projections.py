"""W_h and W_e of Eqs. 8 and 9, and their file beside the student; no part of the exported model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from distill.errors import DistillError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)
PROJECTIONS_FILE = "projections.safetensors"
INITIAL_STD = 0.02  # BERT's own initialiser for linear maps


class Projections(nn.Module):
    """The learnable maps from the student's width d' to the teacher's width d, without bias.

    Attributes:
        W_h: (d', d), one for the hidden states of all mapped layers.
        W_e: (d', d), for the embedding output.
    """

    def __init__(self, student_width: int, teacher_width: int, seed: int = 0) -> None:
        super().__init__()
        self.W_h = nn.Parameter(_initial(student_width, teacher_width, seed))
        self.W_e = nn.Parameter(_initial(student_width, teacher_width, seed + 1))

    def hidden(self, layers: Sequence[Tensor]) -> Sequence[Tensor]:
        """H^S W_h of some layers: (B, T, d') each to (B, T, d) each.

        In half precision by one product, for then it is the number of kernels that counts.
        """
        if not layers or not torch.is_autocast_enabled(self.W_h.device.type):
            return [states @ self.W_h for states in layers]
        return (torch.stack(tuple(layers)) @ self.W_h).unbind(0)

    def embedding(self, states: Tensor) -> Tensor:
        """E^S W_e: (B, T, d') to (B, T, d)."""
        return states @ self.W_e


def save_projections(projections: Projections, folder: Path) -> None:
    """Writes projections.safetensors (tensors `W_h`, `W_e`) into the student's folder."""
    save_file(projections.state_dict(), folder / PROJECTIONS_FILE)


def load_projections(folder: Path, student_width: int, teacher_width: int) -> Projections | None:
    """The projections that an earlier stage left in `folder`.

    Args:
        folder: a student's folder.
        student_width: d'.
        teacher_width: d.

    Returns:
        The projections; None without a file, or, with a warning, where it was made for other widths.

    Raises:
        DistillError: the file is damaged or has other tensors.
    """
    path = folder / PROJECTIONS_FILE
    if not path.is_file():
        return None
    widths, projections = (student_width, teacher_width), Projections(student_width, teacher_width)
    try:
        found = load_file(path)
        shapes = {tuple(found[name].shape) for name in projections.state_dict()}
    except (SafetensorError, KeyError) as error:
        raise DistillError(
            f"expected the tensors W_h and W_e in {path}; it cannot be read ({error}). Delete it to start them afresh."
        ) from error
    if shapes != {widths}:
        log.warning("%s: made for widths %s, not %s; the projections start afresh", path, shapes.pop(), widths)
        return None
    projections.load_state_dict(found)
    return projections


def _initial(student_width: int, teacher_width: int, seed: int) -> Tensor:
    """The identity where widths agree, so a student made of teacher layers starts at its teacher's states."""
    if student_width == teacher_width:
        return torch.eye(student_width)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(student_width, teacher_width, generator=generator) * INITIAL_STD
