"""The k most probable words of many rows of logits, exact, with ties decided by vocabulary id; nothing waits."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from glove.neighbours import HIGHEST, LOWEST, POWERS

GROUP = 64  # logits whose maximum is taken before the selection; 30,522 logits make 477 groups
MARGIN = 12  # candidates looked at beyond k, so that a tie at the cut is seen
DIGITS = 3
LOW = 2**31 - 1  # the lower bits of a key


def top_probabilities(logits: Tensor, normaliser: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Selects the k most probable entries of each row.

    Args:
        logits: float32 (M, V), -inf where an entry may not be chosen.
        normaliser: float32 (M,) log of the sum of exponentials of the row before anything was barred.
        k: entries wanted.

    Returns:
        ids int32 (M, k) and probabilities float32 (M, k), rounded to 3 significant digits, best first, equal ones by
        id; the cut at k comes after rounding. Rows with fewer choices are filled up with -1 and 0; an entry so
        improbable that float32 has 0 for it (below 1e-45) is no choice either. And bool (M,): rows where a tie at
        the cut may go on beyond what was looked at, for which `top_of_all` tells.
    """
    wanted = min(k + MARGIN, logits.shape[1])
    keys = _keys(*_two_step(logits, wanted), normaliser).sort(dim=1, descending=True).values
    _, rounded = _decoded(keys)
    tied = (rounded[:, min(k, wanted) - 1] == rounded[:, -1]) & (rounded[:, -1] > 0)
    return *_cut(keys, k), tied if wanted < logits.shape[1] else torch.zeros_like(tied)


def top_of_all(logits: Tensor, normaliser: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The same by looking at every entry, for rows whose ties are long.

    Args:
        logits: as for `top_probabilities`, like all that follow.
        normaliser: of each row.
        k: entries wanted.
    """
    every = torch.arange(logits.shape[1], device=logits.device).expand_as(logits)
    return _cut(_keys(logits, every, normaliser).topk(min(k, logits.shape[1]), dim=1).values, k)


def first_of_each(ids: Tensor, scores: Tensor, numbers: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best entries of each row of which no two share a number.

    Args:
        ids: int32 (M, n), best first, -1 where there is none.
        scores: float32 (M, n).
        numbers: int64 (V,) of every id.
        k: entries wanted.

    Returns:
        ids int32 (M, k) and scores float32 (M, k); -1 and 0 fill up.
    """
    number = torch.where(ids >= 0, numbers[ids.clamp(min=0)], -1)
    ordered, order = number.sort(dim=1, stable=True)
    again = torch.zeros_like(ids, dtype=torch.bool)
    again.scatter_(1, order[:, 1:], ordered[:, 1:] == ordered[:, :-1])
    ids, scores = torch.where(again, -1, ids), torch.where(again, 0.0, scores)
    place = (ids < 0).long().argsort(dim=1, stable=True)[:, :k]
    return ids.gather(1, place), scores.gather(1, place)


def _two_step(logits: Tensor, wanted: int) -> tuple[Tensor, Tensor]:
    """The `wanted` largest of each row: they all lie in the `wanted` groups with the largest maxima."""
    rows, size = logits.shape
    groups = -(-size // GROUP)
    if groups <= wanted:
        return torch.topk(logits, wanted, dim=1)
    padded = torch.nn.functional.pad(logits, (0, groups * GROUP - size), value=-torch.inf)
    grouped = padded.view(rows, groups, GROUP)
    best = torch.topk(grouped.amax(dim=2), wanted, dim=1).indices  # (M, wanted) group numbers
    survivors = torch.gather(grouped, 1, best[:, :, None].expand(-1, -1, GROUP))  # (M, wanted, GROUP)
    values, local = torch.topk(survivors.flatten(1), wanted, dim=1)
    group = torch.gather(best, 1, local // GROUP)
    return values, group * GROUP + local % GROUP


def _keys(values: Tensor, indices: Tensor, normaliser: Tensor) -> Tensor:
    """Integers that order entries: those of floats that are not negative rise with their bits; the lower id first."""
    rounded = _rounded(torch.exp(values - normaliser[:, None]))
    return rounded.view(torch.int32).long() << 31 | (LOW - indices)


def _decoded(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Ids int32 and rounded probabilities float32 of keys."""
    return (LOW - (keys & LOW)).int(), (keys >> 31).int().view(torch.float32)


def _cut(keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
    ids, rounded = _decoded(keys[:, :k])
    ids = torch.where(rounded > 0, ids, -1)  # barred, or so improbable that single precision has no number for it
    missing = (0, k - ids.shape[1])
    return torch.nn.functional.pad(ids, missing, value=-1), torch.nn.functional.pad(rounded, missing)


def _rounded(probabilities: Tensor) -> Tensor:
    """What `glove.round_significant` gives for numbers from 0 to 1, bit by bit, on any device."""
    wide, powers = probabilities.double(), _powers(probabilities.device)
    exponents = torch.searchsorted(powers, wide, right=True) - 1 + LOWEST
    shift = (DIGITS - 1 - exponents).clamp(max=HIGHEST)
    factor, divisor = powers[shift.clamp(min=0) - LOWEST], powers[(-shift).clamp(min=0) - LOWEST]
    return (torch.round(wide * factor / divisor) * divisor / factor).float()


@cache
def _powers(device: torch.device) -> Tensor:
    return torch.from_numpy(POWERS).to(device)
