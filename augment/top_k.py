"""The k most probable words of many rows of logits, exact, with ties decided by vocabulary id."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from glove import round_significant

GROUP = 64  # logits whose maximum is taken before the selection; 30,522 logits make 477 groups
MARGIN = 12  # candidates looked at beyond k, so that a tie at the cut is seen


def top_probabilities(logits: Tensor, normaliser: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Selects the k most probable entries of each row.

    Args:
        logits: float32 (M, V), -inf where an entry may not be chosen.
        normaliser: float32 (M,) log of the sum of exponentials of the row before anything was barred.
        k: entries wanted.

    Returns:
        ids int32 (M, k) and probabilities float32 (M, k), rounded to 3 significant digits, best first, equal
        ones by id; the cut at k comes after rounding. Rows with fewer choices are filled up with -1 and 0; an entry
        so improbable that float32 has 0 for it (below 1e-45) is no choice either.
    """
    wanted = min(k + MARGIN, logits.shape[1])
    values, indices = _two_step(logits, wanted)
    ids, rounded = _order(values, indices, normaliser)
    if wanted < logits.shape[1]:
        # A tie between the k-th and the last one looked at may go on beyond it: such rows are sorted whole.
        tied = np.flatnonzero((rounded[:, k - 1] == rounded[:, -1]) & (rounded[:, -1] > 0))
        for row in tied:
            every = torch.arange(logits.shape[1], device=logits.device)[None]
            one_ids, one_rounded = _order(logits[row : row + 1], every, normaliser[row : row + 1])
            ids[row, :k], rounded[row, :k] = one_ids[0, :k], one_rounded[0, :k]
    ids, rounded = ids[:, :k], rounded[:, :k]
    if ids.shape[1] < k:
        missing = ((0, 0), (0, k - ids.shape[1]))
        ids, rounded = np.pad(ids, missing, constant_values=-1), np.pad(rounded, missing)
    return np.ascontiguousarray(ids), np.ascontiguousarray(rounded)


def first_of_each(ids: np.ndarray, scores: np.ndarray, numbers: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best entries of each row of which no two share a number.

    Args:
        ids: int32 (M, n), best first, -1 where there is none.
        scores: float32 (M, n).
        numbers: int64 (V,) of every id.
        k: entries wanted.

    Returns:
        ids int32 (M, k) and scores float32 (M, k); -1 and 0 fill up.
    """
    number = np.where(ids >= 0, numbers[ids], -1)
    order = np.argsort(number, axis=1, kind="stable")
    ordered = np.take_along_axis(number, order, axis=1)
    again = np.zeros(ids.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    ids, scores = np.where(again, -1, ids), np.where(again, np.float32(0), scores)
    place = np.argsort(ids < 0, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, place, axis=1), np.take_along_axis(scores, place, axis=1)


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


def _order(values: Tensor, indices: Tensor, normaliser: Tensor) -> tuple[np.ndarray, np.ndarray]:
    probabilities = torch.exp(values - normaliser[:, None]).cpu().numpy()
    ids = indices.cpu().numpy().astype(np.int32)
    rounded = round_significant(probabilities, 3)
    order = np.lexsort((ids, -rounded), axis=1)
    ids = np.take_along_axis(ids, order, axis=1)
    rounded = np.take_along_axis(rounded, order, axis=1)
    ids[rounded <= 0] = -1  # barred, or so improbable that single precision has no number for it
    return ids, rounded
