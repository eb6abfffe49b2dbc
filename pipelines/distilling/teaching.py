"""What a student is taught, and what is kept of its teacher's outputs: choices of both kinds of distillation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from distill.cache_format import CacheContent

LOSSES = ("embedding", "attention", "hidden")
CACHES = ("auto", "full", "logits", "off")
HEADS = ("none", "mean")


@dataclass(frozen=True)
class LossChoice:
    """Which parts of Eq. 11 count.

    Args:
        kinds: of the intermediate stage: embedding, attention, hidden.
        temperature: of the prediction loss.
        layer_weights: λ_0 … λ_{M+1}; None for 1 each.
        heads: `none`, or `mean`: compare attention by its mean over heads.

    Raises:
        UserError: an unknown kind, a value out of its range.
    """

    kinds: tuple[str, ...] = LOSSES
    temperature: float = 1.0
    layer_weights: tuple[float, ...] | None = None
    heads: str = "none"

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(LOSSES):
            raise UserError(f"--losses: expected some of {','.join(LOSSES)}, found {','.join(self.kinds) or 'none'}")
        if self.heads not in HEADS:
            raise UserError(f"--heads: expected one of {', '.join(HEADS)}, found {self.heads!r}")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UserError(f"--temperature: expected a number above 0, found {self.temperature}")

    @property
    def of_layers(self) -> bool:
        """Whether anything of the layers is learnt: a loss of theirs that has a weight above 0."""
        if self.layer_weights is None or len(self.layer_weights) < 3:  # fewer than any student has: refused elsewhere
            return True
        first, *layers, _ = self.layer_weights
        return bool((first and "embedding" in self.kinds) or (any(layers) and set(self.kinds) != {"embedding"}))

    def kept_of_layers(self, soft: bool = False) -> CacheContent:
        """What a cache holds that keeps all that these losses use of the teacher's layers, and no more.

        Args:
            soft: whether a soft masked-LM loss reads the last layer's hidden states, too.
        """
        from distill.cache_format import CacheContent

        return CacheContent.of(hidden="hidden" in self.kinds or soft, scores="attention" in self.kinds)

    @property
    def of_predictions(self) -> bool:
        """Whether predictions are learnt: their weight is above 0."""
        return self.layer_weights is None or self.layer_weights[-1] != 0

    def refuse_idle_heads(self) -> None:
        """Refuses a choice of heads where their attention is not compared.

        Raises:
            UserError: naming the two options.
        """
        if self.heads != "none" and "attention" not in self.kinds:
            raise UserError(
                f"--heads {self.heads}: expected attention among --losses, found {','.join(self.kinds)}, which heed no "
                "heads; add it, or leave --heads out"
            )

    def refuse_nothing(self, stage: str, remedy: str) -> None:
        """Refuses a stage whose loss is 0 whatever the student does.

        Args:
            stage: that learns nothing.
            remedy: another way out.

        Raises:
            UserError: always.
        """
        weights = ",".join(f"{weight:g}" for weight in self.layer_weights or ())
        raise UserError(
            f"--layer-weights {weights}: expected a weight above 0 of a loss that the {stage} stage has, found none: "
            f"nothing would be learnt; raise one, or {remedy}"
        )


@dataclass(frozen=True)
class CacheChoice:
    """What of the teacher's outputs is kept.

    Args:
        mode: auto, full, logits or off.
        budget: bytes; None for the smaller of 20 GB and half the free disk.
        folder: where; None for teacher_cache in the output folder.
        rebuild: at the first start, empty the cache that lies there, whatever its settings.
        own: `folder` is a place in the run's own directory, and the user named none.

    Raises:
        UserError: an unknown mode, or choices that a cache that is off cannot follow.
    """

    mode: str = "auto"
    budget: int | None = None
    folder: Path | None = None
    rebuild: bool = False
    own: bool = False

    def __post_init__(self) -> None:
        if self.mode not in CACHES:
            raise UserError(f"--cache: expected one of {', '.join(CACHES)}, found {self.mode!r}")
        if self.mode == "off" and self.named:
            raise UserError(f"--cache off: expected no {' and no '.join(self.named)} beside it; leave one of them out")

    @property
    def named(self) -> list[str]:
        """The options beside the mode that the user typed."""
        folder = None if self.own else self.folder
        given = {"--cache-budget": self.budget, "--cache-dir": folder, "--rebuild-cache": self.rebuild or None}
        return [option for option, value in given.items() if value is not None]
