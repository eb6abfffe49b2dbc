"""The masked-LM head at masked positions: hidden states in, the best words out, in one copy to the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from augment.precision import default_head_rows
from augment.top_k import first_of_each, top_of_all, top_probabilities
from augment.transfer import Fetched

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from augment.batch import Excluded
    from augment.vocabulary import Vocabulary

TIED, NOT_FINITE = 1, 2  # what is wrong with a row of answers


class Head:
    """Proposes words for hidden states.

    Args:
        logits: turns hidden states (M, H) into logits (M, V).
        vocabulary: says which words may be proposed.
        device: of the hidden states.
        kernels: makes the context that it computes in.

    Attributes:
        rows: masked positions whose logits exist at once.
    """

    def __init__(
        self,
        logits: Callable[[Tensor], Tensor],
        vocabulary: Vocabulary,
        device: torch.device,
        kernels: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._logits, self._forms, self._kernels = logits, vocabulary.most_forms, kernels
        self.rows = default_head_rows(device, len(vocabulary.proposable))
        # added to the logits before the top is taken: 0 for words, -inf for all that is never proposed
        unspaced = vocabulary.proposable if vocabulary.unspaced is None else vocabulary.unspaced
        self._barred, self._barred_but_cjk, self._barred_unspaced = (
            torch.where(torch.from_numpy(may), 0.0, -torch.inf).to(device)
            for may in (vocabulary.proposable, vocabulary.cjk, unspaced)
        )
        self._lower_case = torch.from_numpy(vocabulary.lower_case).to(device)

    def answers(self, hidden: Tensor, k: int, excluded: Excluded | None) -> Answers:
        """Starts the search for the best words.

        Args:
            hidden: (M, H) last hidden states at masks.
            k: words wanted for each.
            excluded: what may not be proposed at each, or None.
        """
        return Answers(self, hidden, k, excluded)

    def found(self, hidden: Tensor, k: int, excluded: Excluded | None) -> Tensor:
        """The best words of some rows.

        Returns:
            int32 (M, 2 k + 1): ids, the bits of their probabilities, and 0, TIED or NOT_FINITE.
        """
        logits, normaliser = self._barred_logits(hidden, excluded)
        ids, scores, tied = top_probabilities(logits, normaliser, k * self._forms)
        state = torch.where(torch.isfinite(normaliser), tied.int() * TIED, NOT_FINITE).int()
        return torch.cat([*self._packed(ids, scores, k), state[:, None]], dim=1)

    def untied(self, hidden: Tensor, k: int, excluded: Excluded | None, rows: Tensor) -> Tensor:
        """The best of all words for some of these rows (R,), which all are computed again, with the same bits.

        Returns:
            int32 (R, 2 k): ids and the bits of their probabilities.
        """
        with self._kernels():
            logits, normaliser = self._barred_logits(hidden, excluded)
        return torch.cat(self._packed(*top_of_all(logits[rows], normaliser[rows], k * self._forms), k), dim=1)

    def _barred_logits(self, hidden: Tensor, excluded: Excluded | None) -> tuple[Tensor, Tensor]:
        logits = self._logits(hidden).float()  # (M, V)
        normaliser = torch.logsumexp(logits, dim=1)  # (M,)
        if excluded is None or excluded.unspaced is None:
            logits += self._barred
        else:
            logits += torch.where(excluded.unspaced[:, None], self._barred_unspaced, self._barred)
        if excluded is not None:
            logits.scatter_(1, excluded.ids, -torch.inf)
            if excluded.but_cjk is not None:
                logits += torch.where(excluded.but_cjk[:, None], self._barred_but_cjk, 0.0)
        return logits, normaliser

    def _packed(self, ids: Tensor, scores: Tensor, k: int) -> list[Tensor]:
        if self._forms > 1:
            ids, scores = first_of_each(ids, scores, self._lower_case, k)
        return [ids, scores.contiguous().view(torch.int32)]


class Answers:
    """The best words for a batch, on their way to the host.

    Args:
        head: the head.
        hidden: (M, H); kept until the answers are taken.
        k: words of each.
        excluded: what may not be proposed, or None.
    """

    def __init__(self, head: Head, hidden: Tensor, k: int, excluded: Excluded | None) -> None:
        self._head, self._hidden, self._k, self._excluded = head, hidden, k, excluded
        parts = [head.found(hidden[rows], k, self._of(rows)) for rows in self._chunks()]
        self._fetched = Fetched(torch.cat(parts))

    @torch.inference_mode()
    def taken(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Waits for the answers.

        Args:
            count: masks (M') of the batch; what fills it up is dropped.

        Returns:
            ids int32 (M', k) and probabilities float32 (M', k), best first.

        Raises:
            FloatingPointError: the model gave no finite logits for one of the masks.
        """
        found = self._fetched.array()[:count]
        state, answers = found[:, -1], found[:, :-1]
        if (state == NOT_FINITE).any():
            raise FloatingPointError("the masked LM gave logits that are not finite")
        if state.any():
            answers = answers.copy()
            for rows in self._chunks():
                tied = np.flatnonzero(state[rows])
                if len(tied):
                    again = torch.from_numpy(tied).to(self._hidden.device)
                    best = self._head.untied(self._hidden[rows], self._k, self._of(rows), again)
                    answers[rows.start + tied] = best.cpu().numpy()
        ids, scores = answers[:, : self._k], np.ascontiguousarray(answers[:, self._k :])
        return ids, scores.view(np.float32)

    def _chunks(self) -> list[slice]:
        rows = self._head.rows
        return [slice(start, start + rows) for start in range(0, len(self._hidden), rows)]

    def _of(self, rows: slice) -> Excluded | None:
        return None if self._excluded is None else self._excluded.of(rows)
